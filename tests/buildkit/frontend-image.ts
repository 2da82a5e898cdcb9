import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = 'tests/buildkit/frontend-program.ts';
const NEEDED = [
  PROGRAM,
  'tests/buildkit/llb.ts',
  'src/base/errors.ts',
  'src/oci/digest.ts',
  'src/buildkit/grpc',
  'src/buildkit/protocol',
  'node_modules/@bufbuild/protobuf',
  'package.json',
];

/** Imports the image of the frontend that these tests have: Node with what it needs, and the program. */
export function importFrontend(
  name: string,
  env: NodeJS.ProcessEnv,
  labels: Readonly<Record<string, string>> = {},
): void {
  const root = mkdtempSync(join(tmpdir(), 'gantry-frontend-'));
  try {
    for (const path of NEEDED) cpSync(join(repository, path), join(root, 'app', path), { recursive: true });
    mkdirSync(join(root, 'tmp'));
    copyTo(root, process.execPath, '/bin/node');
    const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
    for (const [path] of libraries.matchAll(/\/\S+(?= \()/g)) copyTo(root, path, path);
    const changes = [
      `ENTRYPOINT ${JSON.stringify(['/bin/node', '--disable-warning=ExperimentalWarning', `/app/${PROGRAM}`])}`,
      'ENV PATH=/bin',
      'WORKDIR /tmp',
      ...Object.entries(labels).map(([key, value]) => `LABEL ${key}=${JSON.stringify(value)}`),
    ].flatMap((change) => ['-c', change]);
    const tar = ['-C', root, '-c', '.'].map((word) => `'${word}'`).join(' ');
    const words = changes.map((word) => `'${word}'`).join(' ');
    execFileSync('sh', ['-c', `tar ${tar} | docker import ${words} - ${name}`], { env, stdio: 'pipe' });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function copyTo(root: string, from: string, to: string): void {
  mkdirSync(join(root, dirname(to)), { recursive: true });
  copyFileSync(from, join(root, to));
}
