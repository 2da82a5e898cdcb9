/**
 * `npm run package [DIRECTORY]`: what others install, into `DIRECTORY` (default `.gantry/packages-out`), for this processor.
 *
 *     gantry-VERSION.tgz              the npm package (needs Node 24)
 *     gantry_VERSION_amd64.deb        with its own Node, manual pages, systemd units, completion
 *     gantry-VERSION-linux-x64        one file to run; unpacks itself into a cache at its first start
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { VERSION } from '../src/base/version.ts';
import { completionScript } from '../src/cli/completion-script.ts';
import { serviceUnit, socketUnit } from '../src/cli/systemd-units.ts';
import { manPages } from './man-pages.ts';
import { makeSnapshots } from './snapshots.ts';

const root = join(import.meta.dirname, '..');
const out = resolve(process.argv[2] ?? join(root, '.gantry/packages-out'));
const debianArch = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
if (debianArch === undefined) throw new Error(`no packages are made for ${process.arch}`);

const run = (program: string, args: readonly string[], cwd = root): string =>
  execFileSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 64 << 20 });

mkdirSync(out, { recursive: true });
const work = mkdtempSync(join(tmpdir(), 'gantry-package-'));
try {
  const copy = join(work, 'copy');
  for (const name of [
    'src',
    'bin',
    'tools',
    'examples',
    'labs',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.types.json',
    'README.md',
  ]) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  mkdirSync(join(copy, '.gantry'));
  run(process.execPath, ['tools/bundle.ts', '--plain'], copy);
  run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.types.json'], copy);

  // 1. npm
  const npm = realpathSync(run('sh', ['-c', 'command -v npm']).trim());
  run(process.execPath, [npm, 'pack', '--ignore-scripts', '--silent', '--pack-destination', out], copy);

  // 2. the tree that both others carry
  const tree = join(work, 'tree');
  mkdirSync(tree);
  for (const name of ['dist', 'examples/docker-demo', 'labs', 'package.json']) {
    cpSync(join(copy, name), join(tree, name), { recursive: true });
  }
  rmSync(join(tree, 'dist/types'), { recursive: true, force: true });
  run('find', [join(tree, 'dist'), '-name', '*.map', '-delete']);
  for (const name of ['koffi', `@koromix/koffi-linux-${process.arch}`]) {
    cpSync(realpathSync(join(root, 'node_modules', name)), join(tree, 'node_modules', name), { recursive: true });
  }
  for (const name of ['lib', 'vendor', 'doc'])
    rmSync(join(tree, 'node_modules/koffi', name), { recursive: true, force: true });
  // Its JavaScript lies beside the sources of its binary.
  run('find', [
    join(tree, 'node_modules/koffi/src'),
    '-type',
    'f',
    '!',
    '-name',
    '*.js',
    '!',
    '-name',
    '*.cjs',
    '-delete',
  ]);
  cpSync(realpathSync(process.execPath), join(tree, 'node'));
  spawnSync('strip', ['--strip-unneeded', join(tree, 'node')], { stdio: 'ignore' }); // where there are binutils: 15 MB less
  cpSync(join(root, 'tools/launcher-packaged.sh'), join(tree, 'gantry'));
  for (const name of ['node', 'gantry']) chmodSync(join(tree, name), 0o755);
  if (!(await makeSnapshots(join(tree, 'node'), join(tree, 'dist/cli')))) throw new Error('no snapshot could be made');

  // 3. one file
  const archive = join(work, 'tree.tar.gz');
  run('tar', ['-C', tree, '--owner=0', '--group=0', '--sort=name', '--mtime=@0', '-czf', archive, '.']);
  const payload = readFileSync(archive);
  const single = join(out, `gantry-${VERSION}-linux-${process.arch}`);
  const head = selfExtractor(createHash('sha256').update(payload).digest('hex').slice(0, 16));
  writeFileSync(single, Buffer.concat([Buffer.from(head), payload]), { mode: 0o755 });
  chmodSync(single, 0o755);

  // 4. Debian
  await debianPackage(tree, join(out, `gantry_${VERSION}_${debianArch}.deb`));
  for (const name of [
    `gantry-${VERSION}.tgz`,
    `gantry_${VERSION}_${debianArch}.deb`,
    `gantry-${VERSION}-linux-${process.arch}`,
  ]) {
    const path = join(out, name);
    if (!existsSync(path)) throw new Error(`${name} was not made`);
    console.log(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${path}`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** A shell script with the tree behind it. Unpacked aside, then renamed: many may start at once. */
function selfExtractor(id: string): string {
  const text = `#!/bin/sh
# Gantry ${VERSION}: a container engine in one file. It unpacks itself at its first start, into a cache.
set -eu
if [ "$(id -u)" = 0 ]; then base=/var/cache/gantry; else base=\${XDG_CACHE_HOME:-\${HOME:-/}/.cache}/gantry; fi
base=\${GANTRY_UNPACK_DIR:-$base}
at=$base/${VERSION}-${id}
if [ ! -x "$at/gantry" ]; then
  umask 022
  mkdir -p "$base"
  new=$(mktemp -d "$base/new-XXXXXX")
  chmod 755 "$new"
  tail -n +LINES "$0" | tar -xzf - -C "$new"
  mv -T "$new" "$at" 2>/dev/null || rm -rf "$new"
fi
exec "$at/gantry" "$@"
`;
  return text.replace('LINES', String(text.split('\n').length));
}

async function debianPackage(tree: string, file: string): Promise<void> {
  const debian = join(work, 'debian');
  cpSync(tree, join(debian, 'usr/lib/gantry'), { recursive: true });
  const place = (path: string, content: string | Uint8Array): void => {
    mkdirSync(join(debian, path, '..'), { recursive: true });
    writeFileSync(join(debian, path), content);
  };
  mkdirSync(join(debian, 'usr/bin'), { recursive: true });
  symlinkSync('../lib/gantry/gantry', join(debian, 'usr/bin/gantry'));
  place('usr/lib/systemd/system/gantry.service', serviceUnit('/usr/bin/gantry'));
  place('usr/lib/systemd/system/gantry.socket', socketUnit());
  place('usr/share/bash-completion/completions/gantry', completionScript('bash'));
  place('usr/share/zsh/vendor-completions/_gantry', completionScript('zsh'));
  place('usr/share/fish/vendor_completions.d/gantry.fish', completionScript('fish'));
  for (const [name, text] of await manPages()) place(`usr/share/man/man1/${name}.gz`, gzipSync(text));
  const installed = run('du', ['-sk', debian]).split('\t')[0]!;
  place(
    'DEBIAN/control',
    `Package: gantry
Version: ${VERSION}
Architecture: ${debianArch!}
Section: admin
Priority: optional
Maintainer: Gantry <gantry@localhost>
Installed-Size: ${installed}
Depends: libc6, libstdc++6, crun | runc, conmon, nftables, iproute2, mount, procps, ca-certificates
Recommends: mmdebstrap, busybox-static, catatonit
Description: container engine
 Builds, runs, ships and composes OCI containers, with the commands of docker
 and its API. systemctl enable --now gantry.socket starts it when it is needed.
`,
  );
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', debian, file]);
}
