import type { BuildkitService } from '../../buildkit/service.ts';
import type { Route } from '../router.ts';

/** `/grpc` and `/session`: connections that go on as HTTP/2, for clients of BuildKit. */
export function buildkitRoutes(buildkit: () => Promise<BuildkitService>): Route[] {
  return [
    {
      method: 'POST',
      path: '/grpc',
      hijacks: true,
      handle: async (exchange) => {
        const service = await buildkit();
        service.accept(exchange.upgradeToHttp2());
      },
    },
    {
      method: 'POST',
      path: '/session',
      hijacks: true,
      handle: async (exchange) => {
        const { headers } = exchange.request;
        const service = await buildkit();
        service.checkSession(headers);
        service.attachSession(headers, exchange.upgradeToHttp2());
      },
    },
  ];
}
