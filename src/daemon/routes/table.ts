import type { BuildkitService } from '../../buildkit/service.ts';
import type { EngineServices } from '../../engine/engine.ts';
import type { Route } from '../router.ts';
import { absentRoutes } from './absent.ts';
import { archiveRoutes } from './archive.ts';
import { buildRoutes } from './build.ts';
import { buildkitRoutes } from './buildkit.ts';
import { containerRoutes } from './containers.ts';
import { execRoutes } from './execs.ts';
import { imageRoutes } from './images.ts';
import { networkRoutes } from './networks.ts';
import { registryRoutes } from './registries.ts';
import type { ScopeDoors } from '../scope/scope-doors.ts';
import { scopeRoutes } from './scopes.ts';
import { secretRoutes } from './secrets.ts';
import { systemRoutes } from './system.ts';
import { trashRoutes } from './trash.ts';
import { volumeRoutes } from './volumes.ts';

/** Every route of the API. `buildkit` gives BuildKit's protocol when it is asked for first. */
export function routeTable(
  engine: EngineServices,
  buildkit?: () => Promise<BuildkitService>,
  scopes?: ScopeDoors,
): Route[] {
  return [
    ...systemRoutes(engine),
    ...containerRoutes(engine),
    ...archiveRoutes(engine),
    ...execRoutes(engine),
    ...imageRoutes(engine),
    ...buildRoutes(engine, buildkit),
    ...(buildkit ? buildkitRoutes(buildkit) : []),
    ...networkRoutes(engine),
    ...volumeRoutes(engine),
    ...secretRoutes(engine),
    ...trashRoutes(engine),
    ...registryRoutes(engine),
    ...(scopes ? scopeRoutes(scopes) : []),
    ...absentRoutes(),
  ];
}
