/** The same inputs give the same image: on two engines that share nothing, at different times, and by each door. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pluginDirectory } from '../buildkit/plugins.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { leftBehind } from '../support/leak-check.ts';

/** Stand-ins of the bases that the files name: the commands that they run, with what these would leave. */
const BASES = {
  'node:20-alpine': `FROM busybox
RUN mkdir -p /usr/local/bin && printf '#!/bin/sh\\nmkdir -p node_modules/express && cp package.json node_modules/express/ && date >/dev/null\\n' >/usr/local/bin/npm && chmod 755 /usr/local/bin/npm
`,
  'python:3.12-slim': `FROM busybox
RUN mkdir -p /usr/local/bin && printf '#!/bin/sh\\nmkdir -p "$3/bin" && echo home >"$3/pyvenv.cfg" && printf "#!/bin/sh\\n" >"$3/bin/pip" && chmod 755 "$3/bin/pip"\\n' >/usr/local/bin/python && printf '#!/bin/sh\\necho "$1:x:1000:1000::/home/$1:/bin/sh" >>/etc/passwd\\n' >/usr/local/bin/useradd && chmod 755 /usr/local/bin/*
`,
};

/** The demo as its author wrote it. */
const DEMO = `FROM node:20-alpine       # Layer 1
WORKDIR /app              # Layer 2
COPY package.json /app/   # Layer 3
RUN npm install           # Layer 4
COPY src /app/            # Layer 5
CMD ["node", "server.js"] # Layer 6
`;

const PYTHON = `# Stage 1: Builder (disposable workspace)
FROM python:3.12-slim AS builder

WORKDIR /usr/src/app

# Create a virtual environment and activate it via PATH
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"

# Copy and install dependencies into the venv
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt

# Copy source code
COPY src ./src

# Stage 2: Production image
FROM python:3.12-slim

WORKDIR /usr/src/app

# Copy the venv (all installed packages) and application code from the builder stage
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /usr/src/app /usr/src/app

# Activate the venv via PATH
ENV PATH="/opt/venv/bin:$PATH"

# Create a non-root user and switch to it for security
RUN useradd appuser
USER appuser

# Expose (only documents) the port your app runs on
EXPOSE 8080

# Command to run the application (replace app.py with your main file) in exec form (instead of shell form)
CMD ["python", "app.py"]
`;

const STAGES = `FROM busybox AS one
ADD archive.tar /unpacked
COPY --chown=3:4 --chmod=640 src /src
RUN ls /src | sort >/list && touch -d @7 /old && date +%s%N >/dev/null && ln -s list /link
FROM busybox AS two
RUN --mount=type=bind,target=/context --mount=type=cache,target=/cache cat /context/src/* >/all; echo x >>/cache/x; mkdir -p /deep/er
FROM scratch
COPY --from=one /src /list /link /old /unpacked /one/
COPY --link --from=two /all /deep /
ENV A=1
LABEL b=2
VOLUME /data
HEALTHCHECK CMD true
`;

interface Place {
  readonly daemon: DaemonProcess;
  readonly folder: string;
}

describe('the same digest', () => {
  const here = fs.mkdtempSync(join(tmpdir(), 'gantry-same-'));
  const surroundings = (script: string): string[] => ['unshare', '--uts', 'sh', '-c', `${script}; exec "$@"`, 'sh'];
  const places: readonly Place[] = [
    { daemon: new DaemonProcess({ directory: join(here, 'a') }), folder: join(here, 'a-files') },
    {
      daemon: new DaemonProcess({
        directory: join(here, 'elsewhere/far/b'),
        within: surroundings('umask 077; hostname other; export TZ=Asia/Kathmandu LC_ALL=C HOME=/nowhere'),
      }),
      folder: join(here, 'b-files'),
    },
  ];
  const cli = ({ daemon }: Place, ...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });

  /** The same files, written in another order, at another time. */
  const write = ({ folder }: Place, reversed: boolean): void => {
    const when = new Date(reversed ? '2011-01-01T01:02:03Z' : '2020-02-02T02:02:02Z');
    const files: [name: string, text: string][] = [
      ['package.json', '{"dependencies":{"express":"1"}}'],
      ['requirements.txt', 'flask\n'],
      ...Array.from({ length: 40 }, (_, n): [string, string] => [`src/${(n * 7) % 40}.txt`, `${n}\n`]),
      ['src/server.js', 'console.log(1)\n'],
      ['Dockerfile.demo', DEMO],
      ['Dockerfile.python', PYTHON],
      ['Dockerfile.stages', STAGES],
      ...Object.entries(BASES).map(([name, text]): [string, string] => [`Dockerfile.${name}`, text]),
    ];
    fs.mkdirSync(join(folder, 'src'), { recursive: true });
    for (const [name, text] of reversed ? files.toReversed() : files) {
      fs.writeFileSync(join(folder, name), text);
      fs.chmodSync(join(folder, name), 0o644);
      fs.utimesSync(join(folder, name), when, when);
    }
    fs.chmodSync(join(folder, 'src'), 0o755);
    const tar = ['--sort=name', '--mtime=@5', '--owner=0', '--group=0', '--mode=644', '-C', join(folder, 'src')];
    execFileSync('tar', ['-cf', join(folder, 'archive.tar'), ...tar, '1.txt', '2.txt']);
    fs.chmodSync(join(folder, 'archive.tar'), 0o644);
  };
  const build = async (place: Place, file: string, ...words: string[]): Promise<string> => {
    const path = join(place.folder, `Dockerfile.${file}`);
    const { code, stdout, stderr } = await cli(
      place,
      'build',
      '-q',
      '--network',
      'none',
      '-f',
      path,
      ...words,
      place.folder,
    );
    assert.equal(code, 0, `${file}: ${stderr}`);
    return stdout.trim();
  };

  before(async () => {
    for (const [index, place] of places.entries()) {
      write(place, index === 1);
      await place.daemon.start();
      assert.equal((await cli(place, 'pull', 'busybox')).code, 0);
      for (const name of Object.keys(BASES)) await build(place, name, '-t', name);
    }
  });
  after(async () => {
    for (const { daemon } of places) await daemon.stop();
    const left = (await Promise.all(places.map(({ daemon }) => leftBehind(daemon)))).flat();
    fs.rmSync(here, { recursive: true, force: true });
    assert.deepEqual(left, []);
  });

  for (const file of ['demo', 'python', 'stages']) {
    test(`${file}: two engines, without and with a time of its own, and verified`, async () => {
      const [a, b] = places as [Place, Place];
      const id = await build(a, file);
      assert.match(id, /^sha256:[0-9a-f]{64}$/);
      assert.equal(await build(b, file), id);
      const epoch = ['--build-arg', 'SOURCE_DATE_EPOCH=1000000000'];
      const dated = await build(a, file, ...epoch);
      assert.notEqual(dated, id);
      assert.equal(await build(b, file, ...epoch), dated);
      const { Created } = JSON.parse((await cli(a, 'inspect', '-f', '{{json .}}', dated)).stdout) as {
        Created: string;
      };
      assert.equal(Created, '2001-09-09T01:46:40Z');
      // What is sent elsewhere is the same too.
      const archives = await Promise.all(
        [a, b].map(async (place, index) => {
          const archive = join(here, `${file}-${index}.tar`);
          await build(place, file, '-o', `type=oci,dest=${archive}`);
          return execFileSync('sha256sum', ['--', archive], { encoding: 'utf8' }).slice(0, 64);
        }),
      );
      assert.equal(archives[0], archives[1]);
      await build(a, file, '--verify');
    });
  }

  test('by each door: our command, the classic API, buildx', async (t) => {
    const [, b] = places as [Place, Place];
    const plugins = pluginDirectory();
    if (!plugins) t.diagnostic('without buildx, which could not be had');
    for (const file of ['demo', 'python', 'stages']) {
      const id = await build(b, file);
      const path = join(b.folder, `Dockerfile.${file}`);
      // The classic builder knows no mounts: ours takes the file as it is.
      const words = ['build', '-q', '--network', 'none', '-f', path, b.folder];
      assert.equal(execFileSync('docker', words, { env: b.daemon.clientEnv, encoding: 'utf8' }).trim(), id, file);
      if (!plugins) continue;
      const buildx = execFileSync(join(plugins, 'docker-buildx'), [...words, '--provenance=false'], {
        env: { ...b.daemon.clientEnv, BUILDX_CONFIG: join(here, 'buildx') },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      assert.equal(buildx.trim(), id, file);
    }
  });
});
