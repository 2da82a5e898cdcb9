import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const PROGRAM = fileURLToPath(new URL('frontend-program.ts', import.meta.url));
/** Imports the image of the frontend that these tests have: Node with what it needs, and the program. */
export async function importFrontend(
  name: string,
  env: NodeJS.ProcessEnv,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'gantry-frontend-'));
  try {
    await using bundle = await rolldown({ input: PROGRAM, platform: 'node', logLevel: 'silent' });
    await bundle.write({ file: join(root, 'frontend.mjs') });
    mkdirSync(join(root, 'tmp'));
    copyTo(root, process.execPath, '/bin/node');
    const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
    for (const [path] of libraries.matchAll(/\/\S+(?= \()/g)) copyTo(root, path, path);
    const changes = [
      `ENTRYPOINT ${JSON.stringify(['/bin/node', '/frontend.mjs'])}`,
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
