import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mask } from '../clients/mask.ts';
import { removeNamed } from '../clients/remove-named.ts';

export interface CaseResult {
  readonly exitCode: number;
  readonly stdout: string;
}

/**
 * What every case begins with. `file NAME` writes a file from its input; `b …` builds and shows only how it failed;
 * `config IMAGE` is an image's configuration, `tree IMAGE PATHS…` its files with mode, owner and content.
 */
const PRELUDE = `
cd $T/c
rc() { echo "rc=$?"; }
file() { mkdir -p "$(dirname "$1")"; cat >"$1"; }
dockerfile() { cat >Dockerfile; }
show() { grep -a '^ERROR:' $T/out | sed 's/^ERROR: failed to build: /ERROR: /'; }
b() { docker buildx build --progress=plain "$@" >$T/out 2>&1; c=$?; [ $c = 0 ] || show; return $c; }
bake() { docker buildx bake --progress=plain "$@" >$T/out 2>&1; c=$?; [ $c = 0 ] || show; return $c; }
config() { docker image inspect -f '{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Entrypoint}} {{.Config.WorkingDir}} {{.Config.User}} {{json .Config.Labels}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{.Architecture}} {{len .RootFS.Layers}}' "$1"; }
tree() { i=$1; shift; docker run --rm --network none --entrypoint sh "$i" -c 'for p in "$@"; do find $p -exec stat -c "%n %a %u:%g %F" {} \\; | sort; find $p -type f | sort | while read f; do echo "$f: $(head -c 200 $f)"; done; done' sh "$@"; }
listing() { tar tf "$1" | sort | grep -v '^\\(bin\\|dev\\|etc\\|home\\|proc\\|root\\|sbin\\|sys\\|tmp\\|usr\\|lib\\|var\\)/' ; }
`;

/** Runs one script with the real docker CLI, buildx and Compose against `host`, and removes what it left under its name. */
export async function runCase(script: string, host: string, plugins: string): Promise<CaseResult> {
  const prefix = `case-${randomBytes(4).toString('hex')}x`;
  const temporary = await mkdtemp(join(tmpdir(), 'gantry-case-'));
  await mkdir(join(temporary, 'c'));
  await mkdir(join(temporary, 'docker'));
  await writeFile(join(temporary, 'docker/config.json'), JSON.stringify({ cliPluginsExtraDirs: [plugins] }));
  const env = {
    PATH: process.env['PATH'],
    HOME: temporary,
    DOCKER_HOST: host,
    DOCKER_CONFIG: join(temporary, 'docker'),
    N: prefix,
    T: temporary,
    LC_ALL: 'C.UTF-8',
    DOCKER_CLI_HINTS: 'false',
    BUILDX_GIT_INFO: 'false',
    BUILDX_METADATA_WARNINGS: '0',
    COMPOSE_PROJECT_NAME: prefix,
    COMPOSE_ANSI: 'never',
    COMPOSE_MENU: 'false',
    COMPOSE_PROGRESS: 'quiet',
  };
  try {
    const { exitCode, stdout } = await shell(`${PRELUDE}\n${script}`, env, 120_000);
    return { exitCode, stdout: maskAll(stdout, prefix, temporary) };
  } finally {
    await removeNamed(host, prefix, { images: true });
    await rm(temporary, { recursive: true, force: true });
  }
}

function maskAll(text: string, prefix: string, temporary: string): string {
  return mask(text, prefix, temporary)
    .replace(/\b[a-z0-9]{25}\b/g, '<ref>')
    .replace(/of ref \S+: /g, 'of ref <ref>: ')
    .replace(/\b127\.0\.0\.1:\d{4,5}\b/g, '<registry>');
}

async function shell(
  script: string,
  env: NodeJS.ProcessEnv,
  timeoutMs: number,
): Promise<{ readonly exitCode: number; readonly stdout: string }> {
  const child = spawn('sh', ['-c', script], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const chunks: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  // The whole group: a shell alone would leave its docker commands behind.
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), timeoutMs);
  const exitCode = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 137)));
  clearTimeout(timer);
  if (process.env['CASE_STDERR']) process.stderr.write(Buffer.concat(errors));
  return { exitCode, stdout: Buffer.concat(chunks).toString() };
}
