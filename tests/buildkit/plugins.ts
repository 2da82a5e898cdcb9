import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where buildx and Compose are: unpacked by tools/setup-tests.sh, or installed. Undefined where they could not be had. */
export function pluginDirectory(): string | undefined {
  const places = [
    process.env['GANTRY_TEST_PLUGINS'],
    join(root, '.gantry/docker-plugins/usr/libexec/docker/cli-plugins'),
    '/usr/libexec/docker/cli-plugins',
    '/usr/lib/docker/cli-plugins',
  ];
  return places.find(
    (place) =>
      place !== undefined && ['docker-buildx', 'docker-compose'].every((name) => existsSync(join(place, name))),
  );
}
