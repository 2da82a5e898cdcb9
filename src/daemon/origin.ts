import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { EngineError } from '../base/errors.ts';

/**
 * Keeps web pages out. A page in somebody's browser may send requests to any address that the browser reaches, and
 * whoever may talk to this API is root: so what carries a browser's `Origin` is refused, and on an open TCP port also
 * what was sent to a name that is not ours (a page whose name was made to point here). Throws `forbidden`.
 */
export function checkOrigin(
  request: IncomingMessage,
  door: { readonly plainTcp: boolean; readonly hostNames: readonly string[] },
): void {
  const origin = request.headers.origin;
  if (origin !== undefined) {
    throw new EngineError('forbidden', `requests from web pages are refused (Origin: ${origin.slice(0, 200)})`);
  }
  // A page's image or form has no `Origin` with a GET; browsers say all the same that a page is behind it.
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'none') {
    throw new EngineError(
      'forbidden',
      `requests from web pages are refused (Sec-Fetch-Site: ${String(site).slice(0, 40)})`,
    );
  }
  if (!door.plainTcp) return;
  const host = (request.headers.host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  const ours =
    host === 'localhost' || isIP(host) !== 0 || host === hostname().toLowerCase() || door.hostNames.includes(host);
  if (!ours) {
    throw new EngineError(
      'forbidden',
      `requests to the host name ${JSON.stringify(host.slice(0, 200))} are refused: use an address, or start the daemon with --host tcp://${host.slice(0, 200)}:PORT`,
    );
  }
}
