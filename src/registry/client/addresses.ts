import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/** `localhost` and the addresses of this machine alone; `host` without its port. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || contains(LOOPBACK, host);
}

/** Where clouds keep their metadata: no registry is there, whatever an image's name says. */
export function isLinkLocal(host: string): boolean {
  return contains(LINK_LOCAL, host);
}

/** Whether `host` is an address in one of `ranges` (`10.0.0.0/8`); what is no range matches nothing. */
export function isInRanges(host: string, ranges: readonly string[]): boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const match = /^([^/]+)\/(\d{1,3})$/.exec(range);
    const family = match ? isIP(match[1]!) : 0;
    const bits = Number(match?.[2]);
    if (match && family !== 0 && bits <= (family === 4 ? 32 : 128)) {
      list.addSubnet(match[1]!, bits, family === 4 ? 'ipv4' : 'ipv6');
    }
  }
  return contains(list, host);
}

/** `localhost:5000` → `localhost`, `[::1]:5000` → `::1`. */
export function hostOf(domain: string): string {
  return bare(domain.replace(/:\d+$/, ''));
}

function contains(list: BlockList, host: string): boolean {
  const address = bare(host);
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
