import type { BuildkitService } from '../../buildkit/service.ts';
import type { Route } from '../router.ts';

/** `/grpc` and `/session`: connections that go on as HTTP/2, for clients of BuildKit. */
export function buildkitRoutes(buildkit: BuildkitService): Route[] {
  return [
    {
      method: 'POST',
      path: '/grpc',
      hijacks: true,
      handle: async (exchange) => buildkit.accept(exchange.upgradeToHttp2()),
    },
    {
      method: 'POST',
      path: '/session',
      hijacks: true,
      handle: async (exchange) => {
        const { headers } = exchange.request;
        buildkit.checkSession(headers);
        buildkit.attachSession(headers, exchange.upgradeToHttp2());
      },
    },
  ];
}
