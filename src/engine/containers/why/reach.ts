import type { Finding } from '../../../api/why.ts';
import type { ListeningSocket } from '../../../linux/listening-sockets.ts';
import type { ContainerRecord } from '../../../state/containers.ts';

export interface Reach {
  readonly record: Pick<ContainerRecord, 'attachment' | 'hostConfig' | 'config' | 'networks'>;
  readonly listening: readonly ListeningSocket[];
  /** Of its networks, those without a way out or in. */
  readonly internal: readonly string[];
  /** Networks that it wants and that are not there. */
  readonly missing: readonly string[];
}

/** Why a running container may not be reached. Empty when nothing stands in the way that we know of. */
export function reachFindings({ record, listening, internal, missing }: Reach): Finding[] {
  const { attachment, hostConfig, config } = record;
  const found: Finding[] = missing.map((name) => ({
    Kind: 'network-missing',
    Text: `its network ${name} is gone: its next start will fail`,
    Hint: `gantry network create ${name}; gantry undo --list shows whether it was removed`,
  }));
  if (!attachment) return found;
  const asked = Object.keys(hostConfig.PortBindings ?? {});
  if (attachment.mode === 'host' && asked.length > 0) {
    found.push({
      Kind: 'ports-ignored',
      Text: 'it is on the host’s network: published ports mean nothing, the program’s own port is the host’s',
    });
  }
  if (attachment.mode === 'none') {
    found.push({ Kind: 'no-network', Text: 'it has no network (--network none): nobody can reach it, nor it anybody' });
    return found;
  }
  if (attachment.mode !== 'bridge') return found;
  if (Object.keys(attachment.endpoints).length === 0) {
    found.push({
      Kind: 'no-network',
      Text: 'it was disconnected from all of its networks',
      Hint: 'gantry network connect NETWORK CONTAINER',
    });
    return found;
  }
  const published = Object.entries(attachment.ports).filter(([, bindings]) => (bindings?.length ?? 0) > 0);
  for (const [port, bindings] of published) {
    const [number, protocol] = port.split('/');
    const own = listening.filter((socket) => String(socket.port) === number && socket.protocol === protocol);
    const where = bindings!.map(({ HostIp, HostPort }) => `${HostIp}:${HostPort}`).join(', ');
    if (own.length === 0 && protocol !== 'sctp') {
      const others = [
        ...new Set(
          listening.filter((socket) => socket.protocol === protocol && socket.port !== 53).map((socket) => socket.port),
        ),
      ];
      found.push({
        Kind: 'nothing-listens',
        Text: `${where} leads to its port ${port}, where nothing listens${others.length === 0 ? '' : `; it listens on ${others.slice(0, 5).join(', ')}`}`,
        Hint:
          others.length === 0
            ? 'the program has not come up, or listens elsewhere: gantry logs'
            : `publish ${others[0]} instead (gantry update --publish-add ${bindings![0]?.HostPort}:${others[0]}), or configure the program`,
      });
    } else if (own.length > 0 && own.every(({ address }) => address.startsWith('127.') || address === '::1')) {
      found.push({
        Kind: 'listens-on-loopback',
        Text: `${where} leads to its port ${port}, but the program listens on ${own[0]!.address} only, which is its own loopback`,
        Hint: 'let the program listen on 0.0.0.0 (or ::) inside of the container',
      });
    }
    if (bindings!.every(({ HostIp }) => HostIp.startsWith('127.') || HostIp === '::1')) {
      found.push({
        Kind: 'published-on-loopback',
        Text: `its port ${port} is published on ${where}: this host alone reaches it`,
      });
    }
  }
  if (published.length === 0) {
    const exposed = Object.keys(config.ExposedPorts ?? {});
    if (exposed.length > 0) {
      found.push({
        Kind: 'not-published',
        Text: `its ports (${exposed.join(', ')}) are not published: only containers on its networks, and this host by its address, reach them`,
        Hint: `gantry update --publish-add HOSTPORT:${exposed[0]!.split('/')[0]} CONTAINER`,
      });
    }
  }
  if (internal.length > 0 && internal.length === Object.keys(attachment.endpoints).length) {
    found.push({
      Kind: 'internal-network',
      Text: `it is on internal networks only (${internal.join(', ')}): published ports do not lead to it, and it does not reach the world`,
    });
  }
  return found;
}
