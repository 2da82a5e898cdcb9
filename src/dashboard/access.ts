import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const COOKIE = 'gantry-dashboard';

/**
 * Who may use the dashboard: whoever has the secret that is in the address `gantry dashboard` prints. The first page takes
 * it into a cookie. A browser is not enough: pages of other origins send no cookie (SameSite) and are told by Origin,
 * names that lead to this machine by Host (DNS rebinding).
 */
export class Access {
  readonly token = randomBytes(24).toString('base64url');
  readonly #hosts: ReadonlySet<string>;

  /** @param port where the dashboard listens */
  constructor(port: number) {
    this.#hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]);
  }

  /** Cookies belong to a host, not to a port: two dashboards do not take each other's. */
  cookieFor(port: number): string {
    return `${COOKIE}-${port}=${this.token}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Whether the request is from this machine's own page or a program, by its headers. */
  local({ headers }: IncomingMessage): boolean {
    const { host, origin } = headers;
    if (host === undefined || !this.#hosts.has(host)) return false;
    return origin === undefined || origin === `http://${host}`;
  }

  allowed(request: IncomingMessage): boolean {
    const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const cookies = (request.headers.cookie ?? '').split(/;\s*/);
    const port = request.headers.host?.split(':').at(-1) ?? '';
    const cookie = cookies.find((entry) => entry.startsWith(`${COOKIE}-${port}=`));
    const given = bearer ?? cookie?.slice(cookie.indexOf('=') + 1);
    return given !== undefined && this.holds(given);
  }

  holds(given: string): boolean {
    const [ours, theirs] = [Buffer.from(this.token), Buffer.from(given)];
    return ours.length === theirs.length && timingSafeEqual(ours, theirs);
  }
}
