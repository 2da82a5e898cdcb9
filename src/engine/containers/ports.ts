import type { PortSummary } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';
import type { ContainerRecord } from '../../state/containers.ts';

/** The PORTS of `ps`: published ones with their bindings, exposed ones without; none when it does not run. */
export function publishedPorts({ attachment }: ContainerRecord): PortSummary[] {
  return Object.entries(attachment?.ports ?? {}).flatMap(([port, bindings]) => {
    const [number = '0', type = 'tcp'] = port.split('/');
    const own = { PrivatePort: Number(number), Type: type };
    if (!bindings || bindings.length === 0) return [own];
    return bindings.map(({ HostIp, HostPort }) => ({ IP: HostIp, ...own, PublicPort: Number(HostPort) }));
  });
}

/** `80`, `80/udp`, `8000-8010/tcp` as the ports it means: `80/tcp`, …. Throws `invalid-argument` in Docker's words. */
export function portsOf(filter: 'publish' | 'expose', text: string): Set<string> {
  const [range = '', protocol = 'tcp'] = text.split('/');
  const refuse = (why: string): never => {
    throw new EngineError('invalid-argument', `error while looking up for ${filter} ${text}: ${why}`);
  };
  const number = (digits: string): number => {
    if (!/^\d+$/.test(digits)) refuse(`strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax`);
    if (Number(digits) > 65535) refuse(`strconv.ParseUint: parsing ${JSON.stringify(digits)}: value out of range`);
    return Number(digits);
  };
  const [first = '', last = first] = range.split('-');
  const [from, to] = [number(first), number(last)];
  if (to < from) refuse(`Invalid range specified for the Port: ${range}`);
  return new Set(Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol.toLowerCase()}`));
}
