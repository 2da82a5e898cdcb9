import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const UNPACKED = join(import.meta.dirname, '../../.gantry/docker-registry/usr/bin/docker-registry');

/** Debian's docker-registry, the control of these tests: installed, or unpacked by tools/setup-tests.sh. Undefined where there is none. */
export const controlProgram: string | undefined = [
  process.env['GANTRY_TEST_DOCKER_REGISTRY'] ?? 'docker-registry',
  UNPACKED,
].find((program) => spawnSync(program, ['--version']).status === 0);
