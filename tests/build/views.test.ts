/** What a build says of itself: the real command line and daemon. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { DaemonProcess } from '../support/daemon-process.ts';
import { runsDaemon } from '../support/daemon-suite.ts';
import { type Ended, runInProcess } from '../cli/in-process.ts';

const directory = fs.mkdtempSync(join(tmpdir(), 'gantry-views-'));

const DOCKERFILE = `ARG BASE=busybox
# tool makes the greeting
FROM busybox AS tool
# WORD is what it says
ARG WORD=hello
RUN --mount=type=secret,id=token,required=true echo $WORD >/tool

FROM $BASE AS app
WORKDIR /app
COPY a.txt .
COPY --from=tool /tool /tool
RUN --mount=type=cache,target=/root/.cache dd if=/dev/zero of=/big bs=1024 count=200 2>/dev/null
CMD ["cat", "/tool"]
`;

describe('what builds say', { skip: process.getuid?.() === 0 ? false : 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory: join(directory, 'engine') });
  const gantry = (...words: string[]): Promise<Ended> => runInProcess(words, { env: daemon.clientEnv });
  let contexts = 0;
  const context = (files: Readonly<Record<string, string>>): string => {
    const folder = join(directory, `context-${++contexts}`);
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(dirname(join(folder, name)), { recursive: true });
      fs.writeFileSync(join(folder, name), text);
    }
    return folder;
  };

  runsDaemon(daemon, { busybox: true, directory });

  test('--call targets and outline', async () => {
    const folder = context({ Dockerfile: DOCKERFILE });
    assert.equal(
      (await gantry('build', '--call', 'targets', folder)).stdout,
      'TARGET          DESCRIPTION\ntool            makes the greeting\napp (default)   \n',
    );
    const outline = await gantry('build', '--call', 'outline', '--build-arg', 'WORD=bye', folder);
    assert.equal(
      outline.stdout,
      'TARGET:      app\n\nBUILD ARG   VALUE     DESCRIPTION\nBASE        busybox   \nWORD        bye       is what it says\n\n' +
        'SECRET    REQUIRED\ntoken     true\n\nCACHE MOUNT\n/root/.cache\n',
    );
    const json = await gantry('build', '--call=targets,format=json', folder);
    // BuildKit's own JSON, as recorded from its frontend of such a file.
    const at = (line: number): object => ({ ranges: [{ start: { line }, end: { line } }] });
    const sources = [Buffer.from(DOCKERFILE).toString('base64')];
    assert.deepEqual(JSON.parse(json.stdout), {
      targets: [
        { name: 'tool', description: 'makes the greeting', base: 'busybox', location: at(3) },
        { name: 'app', default: true, base: '$BASE', location: at(8) },
      ],
      sources,
    });
    assert.deepEqual(JSON.parse((await gantry('build', '--call=outline,format=json', folder)).stdout), {
      name: 'app',
      args: [
        { name: 'BASE', value: 'busybox', location: at(1) },
        { name: 'WORD', description: 'is what it says', value: 'hello', location: at(5) },
      ],
      secrets: [{ name: 'token', required: true, location: at(6) }],
      cache: [{ ID: '/root/.cache', location: at(12) }],
      sources,
    });
    const absent = await gantry('build', '--call', 'outline', '--target', 'none', folder);
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /target stage "none" could not be found \(there are: tool, app\)/);
    assert.match((await gantry('build', '--call', 'sing', folder)).stderr, /unknown call "sing"/);
  });

  test('what goes wrong in an instruction is shown at its line; what cannot be written is said before', async () => {
    const missing = context({ Dockerfile: 'FROM busybox\nENV A=1\nCOPY nothere /x\n' });
    const copied = await gantry('build', missing);
    assert.equal(copied.code, 1);
    assert.match(copied.stdout, /Dockerfile:3\n-+\n[^]*>>> COPY nothere \/x\n-+\n/);
    assert.match(copied.stderr, /stat nothere: file does not exist/);
    for (const flag of ['--iidfile', '--metadata-file']) {
      const unwritable = await gantry('build', flag, '/nosuch/file', missing);
      assert.equal(unwritable.code, 1);
      assert.match(unwritable.stderr, /cannot write \/nosuch\/file: there is no directory \/nosuch/);
      assert.equal(unwritable.stdout, '');
    }
    assert.match((await gantry('build', '--add-host', 'bad', missing)).stderr, /bad format for add-host: "bad"/);
    const unnamed = await gantry('build', '--call', 'targets', missing);
    assert.match(unnamed.stdout, /^\(default\) {2,}$/m);
  });

  test('--check knows what the context holds', async () => {
    const dockerfile = 'FROM busybox:1\nWORKDIR /app\nCOPY . .\nCMD ["sh", "strat.sh"]\n';
    const folder = context({ Dockerfile: dockerfile, 'start.sh': 'echo', '.dockerignore': 'secret' });
    const found = await gantry('build', '--check', folder);
    assert.equal(found.code, 0, 'a rule of our own is advice');
    assert.match(found.stdout, /^WARNING: MissingCommandFile\nCMD runs "strat\.sh", which no instruction brings/);
    assert.match(found.stdout, /Dockerfile:4\n-+\n[^]*>>> CMD \["sh", "strat\.sh"\]/);
    fs.writeFileSync(join(folder, 'Dockerfile'), dockerfile.replace('strat', 'start'));
    assert.equal((await gantry('build', '--check', folder)).stdout, 'Check complete, no warnings found.\n');
    fs.writeFileSync(join(folder, 'Dockerfile'), `${dockerfile.replace('strat', 'start')}MAINTAINER somebody\n`);
    assert.equal((await gantry('build', '--check', folder)).code, 1, 'as buildx');
  });

  test('--check of a base that is no name says what a build would say', async () => {
    const { code, stderr } = await gantry('build', '--check', context({ Dockerfile: 'FROM BusyBox\n' }));
    assert.equal(code, 1);
    assert.match(
      stderr,
      /failed to parse stage name "BusyBox": invalid reference format: repository name \(library\/BusyBox\) must be lowercase/,
    );
    assert.match(stderr, /1 \| >>> FROM BusyBox/);
  });

  test('--context-ls shows what is sent, and which rule keeps the rest', async () => {
    const folder = context({
      Dockerfile: 'FROM scratch\n',
      '.dockerignore': '# notes\nlogs\n*.md\n!README.md\n',
      'README.md': 'r',
      'notes.md': 'n',
      'logs/a.log': 'a',
      'src/a.js': 'four',
    });
    const { stdout } = await gantry('build', '--context-ls', folder);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    assert.deepEqual(lines, [
      ['STATE', 'SIZE', 'RULE', 'PATH'],
      ['sent', '29B', '.dockerignore'],
      ['sent', '13B', 'Dockerfile'],
      ['sent', '1B', '!README.md', 'README.md'],
      ['ignored', 'logs', 'logs/'],
      ['ignored', '1B', 'logs', 'logs/a.log'],
      ['ignored', '1B', '*.md', 'notes.md'],
      ['sent', 'src/'],
      ['sent', '4B', 'src/a.js'],
      ['4 files sent, 47B; 3 left out'],
    ]);
  });

  test('--gitignore: what git ignores is not sent, and --context-ls says by which line', async () => {
    const folder = context({
      Dockerfile: 'FROM busybox\nCOPY . /all\nRUN find /all -type f | sort\n',
      '.git/HEAD': 'ref',
      '.gitignore': '# built\n*.log\nDockerfile\n',
      '.dockerignore': '*.md\n',
      'a.log': 'a',
      'b.md': 'b',
      'src/.gitignore': '!keep.log\n',
      'src/keep.log': 'k',
    });
    const { stdout } = await gantry('build', '--gitignore', '--context-ls', folder);
    assert.match(stdout, /^ignored +\.git is git's own +\.git\/$/m);
    assert.match(stdout, /^ignored +1B +\.gitignore:2: \*\.log +a\.log$/m);
    assert.match(stdout, /^ignored +1B +\*\.md +b\.md$/m);
    assert.match(stdout, /^sent +1B +src\/keep\.log$/m);
    assert.match(stdout, /^sent +\d+B +Dockerfile$/m);
    const built = await gantry('build', '-o', 'type=cacheonly', '--gitignore', '--progress=plain', folder);
    assert.equal(built.code, 0, built.stderr);
    const listed = built.stdout.split('\n').filter((line) => line.startsWith('/all'));
    assert.deepEqual(listed, ['/all/.dockerignore', '/all/.gitignore', '/all/src/.gitignore', '/all/src/keep.log']);
    const remote = await gantry('build', '--gitignore', 'https://example.org/repo.git');
    assert.match(remote.stderr, /--gitignore needs a directory as its context/);
  });

  test('INCLUDE: errors, warnings, reasons and outlines know the files that were included', async () => {
    const folder = context({
      Dockerfile: '# syntax=gantry/dockerfile:1\nFROM busybox\nINCLUDE parts/common\nINCLUDE --from=lib more\n',
      'parts/common': '# what it says\nARG WORD=hello\nRUN echo $WORD >/word\n',
      'link/common': '',
    });
    const lib = context({ more: 'RUN cat /word\nRUN false\n' });
    const named = ['--build-context', `lib=${lib}`];
    const outside = await gantry('build', ...named, folder);
    assert.equal(outside.code, 1);
    assert.match(outside.stdout, /lib:more:2\n-+\n[^]*>>> RUN false\n/);
    fs.writeFileSync(join(lib, 'more'), 'RUN cat /word\n');
    const built = await gantry('build', '-o', 'type=cacheonly', '--progress=plain', ...named, folder);
    assert.equal(built.code, 0, built.stderr);
    fs.writeFileSync(join(folder, 'parts/common'), 'RUN echo bye >/word\n\nRUN true \\\n\n && true\n');
    const again = await gantry('build', '-o', 'type=cacheonly', '--progress=plain', '--explain', ...named, folder);
    assert.match(again.stdout, /^bye$/m);
    assert.match(again.stdout, /Not cached \(parts\/common:3\): command changed/);
    assert.match(again.stdout, /\[Warning\] NoEmptyContinuation: .* \(line 3 of parts\/common\)/);

    fs.writeFileSync(join(folder, 'Dockerfile'), '# syntax=gantry/dockerfile:1\nFROM busybox\nINCLUDE parts/common\n');
    fs.writeFileSync(join(folder, 'parts/common'), 'MAINTAINER somebody\nARG WORD=hello\n');
    const checked = await gantry('build', '--check', folder);
    assert.match(checked.stdout, /^parts\/common:1\n-+\n +1 \| >>> MAINTAINER somebody/m);
    assert.match((await gantry('build', '--call', 'outline', folder)).stdout, /^WORD +hello/m);

    fs.rmSync(join(folder, 'parts'), { recursive: true });
    fs.symlinkSync(lib, join(folder, 'parts'));
    fs.symlinkSync('/etc/hostname', join(folder, 'name'));
    for (const path of ['parts/more', 'name']) {
      fs.writeFileSync(join(folder, 'Dockerfile'), `# syntax=gantry/dockerfile:1\nINCLUDE ${path}\n`);
      const linked = await gantry('build', folder);
      assert.equal(linked.code, 1);
      assert.match(linked.stderr, /dockerfile line 2: INCLUDE .* is reached through a symbolic link/);
    }
  });

  test('ENV --from-cmd: a variable of what a command prints, from the cache as well, and of an exported one', async () => {
    const text = [
      '# syntax=gantry/dockerfile:1',
      'FROM busybox',
      'ARG WORD=hello',
      'RUN echo 1 >/number',
      'ENV --from-cmd NUMBER=cat /number; touch /forgotten; echo told >&2; printf "$WORD\\n\\n"',
      'RUN echo "<$NUMBER>" $(ls /forgotten 2>/dev/null) >/seen',
      'CMD ["cat", "/seen"]',
    ];
    const folder = context({ Dockerfile: text.join('\n') });
    const built = await gantry('build', '-t', 'printed', '--progress=plain', folder);
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stdout, /^told$/m);
    const env = async (): Promise<string> =>
      (await gantry('image', 'inspect', '-f', '{{json .Config.Env}}', 'printed')).stdout;
    assert.match(await env(), /"NUMBER=1\\nhello"/);
    assert.match((await gantry('run', '--rm', 'printed')).stdout, /^<1\nhello>\n$/);
    const history = await gantry('history', '--no-trunc', '--format', '{{.Size}} {{.CreatedBy}}', 'printed');
    assert.match(history.stdout, /^0B ENV NUMBER=1\nhello # --from-cmd \/bin\/sh -c cat \/number/m);
    const again = await gantry('build', '-t', 'printed', '--progress=plain', folder);
    assert.doesNotMatch(again.stdout, /^told$/m);
    assert.equal(again.stdout.match(/Using cache/g)?.length, 4);
    assert.match(await env(), /"NUMBER=1\\nhello"/);

    const cache = join(directory, 'printed-cache');
    await gantry('build', '-t', 'printed', '--cache-to', `type=local,mode=max,dest=${cache}`, folder);
    await gantry('rmi', 'printed');
    await gantry('builder', 'prune', '-af');
    const from = `type=local,src=${cache}`;
    const imported = await gantry('build', '-t', 'printed', '--progress=plain', '--cache-from', from, folder);
    assert.equal(imported.stdout.match(/Using cache/g)?.length, 4);
    assert.match(await env(), /"NUMBER=1\\nhello"/);

    const wrong: readonly [command: string, message: RegExp][] = [
      ['yes', /dockerfile line 3: the command for A prints more than 65536 bytes|prints more than 65536 bytes/],
      ['printf "a\\0b"', /dockerfile line 3: the command for A prints a NUL/],
      ['exit 3', /The command '\/bin\/sh -c exit 3' returned a non-zero code: 3/],
    ];
    for (const [command, message] of wrong) {
      const failed = await gantry(
        'build',
        context({ Dockerfile: `${text[0]}\n${text[1]}\nENV --from-cmd A=${command}` }),
      );
      assert.notEqual(failed.code, 0);
      assert.match(failed.stderr, message);
    }
    const changing = context({
      Dockerfile: `${text[0]}\n${text[1]}\nENV --from-cmd A=cat /proc/sys/kernel/random/uuid`,
    });
    assert.match(
      (await gantry('build', '--verify', changing)).stderr,
      /line 3: not reproducible: ENV [^]*it printed "/,
    );
    await gantry('rmi', 'printed');
  });

  test('a Containerfile, labels that are not inherited, --timestamp', async () => {
    const base = context({ Dockerfile: 'FROM busybox\nLABEL of=base two=2\n' });
    assert.equal((await gantry('build', '-t', 'labelled', base)).code, 0);
    const folder = context({
      Containerfile: 'FROM labelled AS a\nLABEL a=1\nFROM a\nCOPY . /all\nRUN ls /all\nLABEL own=1\n',
      '.containerignore': 'Containerfile\nignored\n',
      ignored: '',
      sent: '',
    });
    const labels = async (...flags: string[]): Promise<unknown> => {
      const built = await gantry('build', '-t', 'bare', '--progress=plain', ...flags, folder);
      assert.equal(built.code, 0, built.stderr);
      return JSON.parse((await gantry('image', 'inspect', '-f', '{{json .Config.Labels}}', 'bare')).stdout);
    };
    assert.deepEqual(await labels(), { of: 'base', two: '2', a: '1', own: '1' });
    assert.deepEqual(await labels('--inherit-labels=false', '--label', 'given=1'), { own: '1', given: '1' });
    assert.equal((await gantry('run', '--rm', 'bare', 'ls', '/all')).stdout, 'sent\n');
    const only = await gantry(
      'build',
      '-t',
      'bare',
      '--inherit-labels=false',
      context({ Dockerfile: 'FROM labelled\n' }),
    );
    assert.equal(only.code, 0);
    assert.equal((await gantry('image', 'inspect', '-f', '{{len .Config.Labels}}', 'bare')).stdout, '0\n');
    await labels('--timestamp', '86400');
    assert.equal((await gantry('image', 'inspect', '-f', '{{.Created}}', 'bare')).stdout, '1970-01-02T00:00:00Z\n');
    for (const [given, message] of [
      [['--timestamp', 'now'], /it is seconds since 1970/],
      [['--timestamp', '1', '--build-arg', 'SOURCE_DATE_EPOCH=1'], /say the same: give one/],
    ] as const)
      assert.match((await gantry('build', ...given, folder)).stderr, message);
    await gantry('rmi', 'bare', 'labelled');
    await gantry('image', 'prune', '-f');
  });

  test('--graph and --sizes', async () => {
    const folder = context({
      Dockerfile: DOCKERFILE.replace('--mount=type=secret,id=token,required=true ', ''),
      'a.txt': 'a',
    });
    const args = ['build', '--network', 'none', '-t', 'graph', folder];
    const tree = (await gantry(...args, '--graph', 'tree', '--sizes')).stdout;
    assert.match(
      tree,
      /\ntool {2}FROM busybox AS tool\n├─ ARG WORD=hello\n└─ RUN echo \$WORD >\/tool +run[ .\ds]* 6B +[0-9a-f]{12}\n/,
    );
    assert.match(tree, /├─ COPY --from=tool \/tool \/tool +run[ .\ds]* 6B +[0-9a-f]{12} {2}← tool\n/);
    assert.match(tree, / 204\.8kB +\S+ {2}│ *█+ *│ {2}RUN --mount=type=cache/);
    const mermaid = (await gantry(...args, '--graph', 'mermaid', '-q')).stdout;
    assert.match(mermaid, /^sha256:[0-9a-f]{64}\nflowchart TD\n {2}subgraph s0\["tool"\]\n/);
    assert.match(mermaid, /s0_2\["RUN echo \$WORD &gt;\/tool<br\/>cached 6B"\]:::cached\n/);
    assert.match(mermaid, /\n {2}s0_2 -\.-> s1_3\n/);
    assert.match((await gantry(...args, '--graph', 'ascii')).stderr, /unknown graph "ascii"/);
  });

  test('--verify: the same again, or the first difference by file and field', async () => {
    const same = context({ Dockerfile: 'FROM busybox\nCOPY a.txt /\nRUN echo b >/b; date >/dev/null\n', 'a.txt': 'a' });
    const verified = await gantry('build', '--network', 'none', '--verify', '-t', 'same', same);
    assert.match(verified.stdout, /Verified: 2 steps gave the same again\n/);
    const other = context({
      Dockerfile:
        'FROM busybox\nRUN echo fixed >/f; cat /proc/sys/kernel/random/uuid >/random; chmod 7$((RANDOM % 2))0 /f\nRUN true\n',
    });
    const refused = await gantry('build', '--network', 'none', '--verify', '-t', 'other', other);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /dockerfile line 2: not reproducible: RUN echo fixed/);
    assert.match(refused.stderr, /\n {2}\/random: content [0-9a-f]{12} → [0-9a-f]{12}\n/);
    assert.equal((await gantry('images', '-q', 'other')).stdout, '', 'it was not named');
    assert.equal((await gantry('images', '-q', 'same')).stdout.trim().length, 12);
  });

  test('several platforms: one name for all, RUN only where something runs it', async () => {
    const folder = context({
      Dockerfile: 'FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY a.txt /\n',
      'a.txt': 'a',
    });
    const built = await gantry('build', '--platform', 'linux/amd64,linux/s390x', '-t', 'multi', folder);
    assert.equal(built.code, 0, built.stderr);
    const archOf = async (...words: string[]): Promise<string> =>
      (await gantry('image', 'inspect', '-f', '{{.Architecture}} {{.Config.Env}}', ...words)).stdout.trim();
    assert.match(await archOf('multi'), /^amd64 .*ARCH=amd64/);
    assert.match(await archOf('--platform', 'linux/s390x', 'multi'), /^s390x .*ARCH=s390x/);
    assert.equal((await gantry('images', '-q', 'multi')).stdout.split('\n').length, 2, 'one line');
    assert.equal((await gantry('images', '-q', '-f', 'dangling=true')).stdout, '');
    assert.equal((await gantry('image', 'prune', '-f')).stdout, 'Total reclaimed space: 0B\n');
    await gantry('tag', 'multi', 'again');
    assert.match(await archOf('--platform', 'linux/s390x', 'again'), /^s390x/);

    const archive = join(directory, 'multi.tar');
    assert.equal((await gantry('save', '-o', archive, 'multi')).code, 0);
    await gantry('rmi', 'multi', 'again');
    assert.equal((await gantry('images', '-aq')).stdout.includes('multi'), false);
    await gantry('load', '-i', archive);
    assert.match(await archOf('multi'), /^amd64/);
    assert.match(await archOf('--platform', 'linux/s390x', 'multi'), /^s390x .*ARCH=s390x/);
    await gantry('rmi', 'multi');

    const run = context({ Dockerfile: 'FROM scratch AS a\nFROM a\nRUN true\n' });
    const refused = await gantry('build', '--platform', 'linux/s390x', run);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /dockerfile line 3: RUN for linux\/s390x is not possible on this linux\/\w+ machine: no emulator/,
    );
  });
});
