/** Definitions of every kind of operation, with the files that clients send for them. */
import { CacheSharingOpt, MountType, NetMode, SecurityMode } from '../../src/buildkit/protocol/ops_pb.ts';
import { copy, Llb, mkdir, mkfile, type Output, rm, symlink } from './llb.ts';
import type { GraphCase } from './run-graph.ts';

const CONTEXT = {
  context: {
    'a.txt': 'alpha',
    'run.sh': { text: '#!/bin/sh\necho ran', mode: 0o755 },
    'dir/b.txt': 'beta',
    'dir/c.md': 'gamma',
    'dir/deep/d.txt': 'delta',
    link: { link: 'a.txt' },
    'star*name': 'star',
  },
};

/** A case of one definition that is written with operations at hand. */
function graph(
  name: string,
  write: (llb: Llb) => Output,
  more: Omit<Partial<GraphCase>, 'name' | 'definition'> = {},
): GraphCase {
  return {
    name,
    directories: CONTEXT,
    definition: () => {
      const llb = new Llb();
      return llb.definition(write(llb));
    },
    ...more,
  };
}

const local = (llb: Llb, attrs: Record<string, string> = {}): Output => llb.source('local://context', attrs);
const out = { below: 'out' };
const BIND = { mountType: MountType.BIND, output: -1n } as const;

/** A file on nothing, and an image with a file more. */
const note = (llb: Llb, text = 'note'): Output => llb.file(undefined, [mkfile('/note', text)]);

export const GRAPH_CASES: readonly GraphCase[] = [
  graph('sources: a directory of the client', (llb) => local(llb)),
  graph('sources: a directory that is not there is empty', (llb) =>
    llb.file(
      undefined,
      [mkdir('/out'), copy('/', '/out/', { dirCopyContents: true } as never)],
      [llb.source('local://none')],
    ),
  ),
  graph('sources: an image', (llb) => llb.image(), { below: 'bin/sh' }),
  graph('sources: an unknown scheme', (llb) => llb.source('ftp://example.org/x')),
  graph('sources: an attribute that nobody knows', (llb) => llb.source('local://context', { 'local.nosuch': '1' })),

  graph(
    'run: writes into its root',
    (llb) => llb.run(llb.image(), 'mkdir /out && echo hi >/out/x && chmod 600 /out/x')(),
    out,
  ),
  graph(
    'run: environment, directory, user',
    (llb) =>
      llb.run(
        llb.file(llb.image(), [mkdir('/out', { owner: { user: { user: { case: 'byID', value: 1234 } } } })]),
        '(id -u; id -g; pwd; echo $A) >/out/x',
        { meta: { env: ['A=b c'], cwd: '/out', user: '1234:56' } },
      )(),
    out,
  ),
  graph(
    'run: a working directory that is not there is made',
    (llb) => llb.run(llb.image(), 'pwd >x', { meta: { cwd: '/out/here' } })(),
    out,
  ),
  graph('run: a code that is no success', (llb) => llb.run(llb.image(), 'exit 7')()),
  graph(
    'run: a code that is allowed',
    (llb) => llb.run(llb.image(), 'mkdir /out; exit 7', { meta: { validExitCodes: [3, 7] } })(),
    out,
  ),
  graph('run: a command that is not there', (llb) => llb.run(llb.image(), '', { meta: { args: ['/nosuch'] } })()),
  graph(
    'run: without a PATH there is the usual one',
    (llb) => llb.run(llb.image(), 'mkdir /out; echo $PATH >/out/path')(),
    out,
  ),
  graph(
    'run: hosts and host name',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; (hostname; grep -o "10.9.8.7.*" /etc/hosts) >/out/x', {
        meta: { hostname: 'somewhere', extraHosts: [{ Host: 'there', IP: '10.9.8.7' }] },
      })(),
    out,
  ),
  graph(
    'run: limits',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; ulimit -n >/out/x', {
        meta: { ulimit: [{ Name: 'nofile', Soft: 123n, Hard: 456n }] },
      })(),
    out,
  ),
  graph(
    'run: proxies are seen and not kept',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; echo $http_proxy $HTTP_PROXY $no_proxy >/out/x', {
        meta: { proxyEnv: { httpProxy: 'http://p:1', noProxy: 'n' } },
      })(),
    out,
  ),
  graph(
    'run: no network',
    (llb) => llb.run(llb.image(), 'mkdir /out; ls /sys/class/net >/out/x', { network: NetMode.NONE })(),
    out,
  ),
  graph('run: the network of the host has to be allowed', (llb) =>
    llb.run(llb.image(), 'true', { network: NetMode.HOST })(),
  ),
  graph(
    'run: files of an input, read-only',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; cp /in/a.txt /out/; touch /in/x 2>/dev/null || echo refused >/out/no', {
        inputs: [local(llb)],
        mounts: [{ ...BIND, input: 1n, dest: '/in', readonly: true }],
      })(),
    out,
  ),
  graph(
    'run: a part of an input',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; ls -R /in >/out/x; cat /one >>/out/x', {
        inputs: [local(llb)],
        mounts: [
          { ...BIND, input: 1n, dest: '/in', readonly: true, selector: '/dir' },
          { ...BIND, input: 1n, dest: '/one', readonly: true, selector: 'a.txt' },
        ],
      })(),
    out,
  ),
  graph('run: a part that is not there', (llb) =>
    llb.run(llb.image(), 'true', {
      inputs: [local(llb)],
      mounts: [{ ...BIND, input: 1n, dest: '/in', readonly: true, selector: '/nosuch' }],
    })(),
  ),
  graph('run: a second result', (llb) =>
    llb.run(llb.image(), 'mkdir /mine; echo two >/second/x; rm /second/note', {
      inputs: [note(llb)],
      mounts: [{ mountType: MountType.BIND, input: 1n, dest: '/second', output: 1n }],
    })(1),
  ),
  graph('run: a result upon nothing', (llb) =>
    llb.run(llb.image(), 'echo new >/second/x', {
      mounts: [{ mountType: MountType.BIND, input: -1n, dest: '/second', output: 1n }],
    })(1),
  ),
  graph(
    'run: what is written to a mount without a result is dropped',
    (llb) => {
      const ran = llb.run(llb.image(), 'echo gone >/in/x; mkdir /out; cat /in/note >/out/kept', {
        inputs: [note(llb)],
        mounts: [{ ...BIND, input: 1n, dest: '/in' }],
      });
      return llb.run(ran(), 'ls /in >/out/seen; test ! -e /in/x')();
    },
    out,
  ),
  graph('run: a root that cannot be written to', (llb) =>
    llb.run(llb.image(), 'touch /x 2>/dev/null && echo written >/second/x || echo refused >/second/x', {
      readonly: true,
      mounts: [{ mountType: MountType.BIND, input: -1n, dest: '/second', output: 0n }],
    })(),
  ),
  graph(
    'run: memory',
    (llb) =>
      llb.run(
        llb.image(),
        'mkdir /out; mount | grep -o "on /scratch type tmpfs" >/out/x; df -k /scratch | awk \'END{print $2}\' >>/out/x; echo 1 >/scratch/y',
        {
          mounts: [
            { mountType: MountType.TMPFS, input: -1n, dest: '/scratch', output: -1n, TmpfsOpt: { size: 1048576n } },
          ],
        },
      )(),
    out,
  ),
  graph(
    'run: a cache goes from one command to the next',
    (llb) => {
      const cache = {
        mountType: MountType.CACHE,
        input: -1n,
        dest: '/cache',
        output: -1n,
        cacheOpt: { ID: 'graph-cases', sharing: CacheSharingOpt.LOCKED },
      };
      const first = llb.run(llb.image(), 'echo kept >/cache/x', { mounts: [cache], metadata: { ignoreCache: true } });
      return llb.run(first(), 'mkdir /out; cat /cache/x >/out/x', { mounts: [cache] })();
    },
    out,
  ),
  graph(
    'run: a cache that begins with files',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; cat /cache/note >/out/x', {
        inputs: [note(llb, 'first')],
        mounts: [
          {
            mountType: MountType.CACHE,
            input: 1n,
            dest: '/cache',
            output: -1n,
            cacheOpt: { ID: 'graph-cases-filled', sharing: CacheSharingOpt.SHARED },
          },
        ],
      })(),
    out,
  ),
  graph(
    'run: a secret as a file and as a variable',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; (stat -c "%a %u:%g" /run/s; wc -c </run/s; echo ${#S}) >/out/x', {
        mounts: [
          {
            mountType: MountType.SECRET,
            input: -1n,
            dest: '/run/s',
            output: -1n,
            secretOpt: { ID: 'one', mode: 0o440, uid: 1, gid: 2 },
          },
        ],
        secretenv: [{ ID: 'one', name: 'S' }],
      })(),
    { ...out, secrets: { one: 'very secret' } },
  ),
  graph('run: a secret that nobody gives', (llb) =>
    llb.run(llb.image(), 'true', {
      mounts: [
        { mountType: MountType.SECRET, input: -1n, dest: '/s', output: -1n, secretOpt: { ID: 'absent', mode: 0o400 } },
      ],
    })(),
  ),
  graph(
    'run: a secret that may be absent',
    (llb) =>
      llb.run(llb.image(), 'mkdir /out; ls /s 2>/dev/null || echo none >/out/x', {
        mounts: [
          {
            mountType: MountType.SECRET,
            input: -1n,
            dest: '/s',
            output: -1n,
            secretOpt: { ID: 'absent', mode: 0o400, optional: true },
          },
        ],
      })(),
    out,
  ),
  graph('run: an ssh agent that nobody forwards', (llb) =>
    llb.run(llb.image(), 'true', {
      mounts: [
        { mountType: MountType.SSH, input: -1n, dest: '/ssh', output: -1n, SSHOpt: { ID: 'default', mode: 0o600 } },
      ],
    })(),
  ),
  graph(
    'run: one command after the other',
    (llb) => {
      let last = llb.run(llb.image(), 'mkdir /out')();
      for (let n = 0; n < 5; n++) last = llb.run(last, `echo ${n} >/out/${n}`)();
      return last;
    },
    out,
  ),

  graph('files: made with mode and owner', (llb) =>
    llb.file(undefined, [
      mkdir('/out', {
        mode: 0o750,
        owner: { user: { user: { case: 'byID', value: 5 } }, group: { user: { case: 'byID', value: 6 } } },
      }),
      mkfile('/out/x', 'text', { mode: 0o601 }),
      mkdir('/out/a/b/c', { makeParents: true, mode: 0o711 }),
      symlink('x', '/out/link', { owner: { user: { user: { case: 'byID', value: 7 } } } }),
    ]),
  ),
  graph('files: a directory whose parents are missing', (llb) => llb.file(undefined, [mkdir('/a/b')])),
  graph('files: a file whose directory is missing', (llb) => llb.file(undefined, [mkfile('/a/b', 'x')])),
  graph('files: what is there already', (llb) =>
    llb.file(note(llb), [
      mkfile('/note', 'again', { mode: 0o600 }),
      mkdir('/d', { mode: 0o700 }),
      mkdir('/d', { mode: 0o755 }),
    ]),
  ),
  graph('files: removed', (llb) =>
    llb.file(local(llb), [
      rm('/a.txt'),
      rm('/dir/*.txt', { allowWildcard: true }),
      rm('/nosuch', { allowNotFound: true }),
    ]),
  ),
  graph('files: removed that are not there', (llb) => llb.file(local(llb), [rm('/nosuch')])),
  graph(
    'files: a removed directory of an image',
    (llb) => llb.run(llb.file(llb.image(), [rm('/etc')]), 'mkdir /out; test ! -e /etc/passwd && echo gone >/out/x')(),
    out,
  ),
  graph('copy: a file', (llb) => llb.file(undefined, [copy('/a.txt', '/b.txt')], [local(llb)])),
  graph('copy: a file into a directory', (llb) =>
    llb.file(undefined, [mkdir('/out'), copy('/a.txt', '/out')], [local(llb)]),
  ),
  graph('copy: a file to a path that is not there', (llb) =>
    llb.file(undefined, [copy('/a.txt', '/x/y/z')], [local(llb)]),
  ),
  graph('copy: with the path made', (llb) =>
    llb.file(undefined, [copy('/a.txt', '/x/y/z', { createDestPath: true } as never)], [local(llb)]),
  ),
  graph('copy: into a path that ends with a slash', (llb) =>
    llb.file(undefined, [copy('/run.sh', '/x/y/', { createDestPath: true } as never)], [local(llb)]),
  ),
  graph('copy: a directory as another', (llb) => llb.file(undefined, [copy('/dir', '/out')], [local(llb)])),
  graph('copy: a directory into one', (llb) =>
    llb.file(undefined, [mkdir('/out'), copy('/dir', '/out')], [local(llb)]),
  ),
  graph('copy: what is in a directory', (llb) =>
    llb.file(undefined, [mkdir('/out'), copy('/dir', '/out', { dirCopyContents: true } as never)], [local(llb)]),
  ),
  graph('copy: in place of what is there and of another kind', (llb) =>
    llb.file(
      llb.file(undefined, [
        mkdir('/elsewhere'),
        mkdir('/a.txt/sub', { makeParents: true }),
        symlink('/elsewhere', '/dir'),
      ]),
      [copy('/', '/', { alwaysReplaceExistingDestPaths: true, dirCopyContents: true } as never)],
      [local(llb)],
    ),
  ),
  graph('copy: onto what is there and of another kind', (llb) =>
    llb.file(
      llb.file(undefined, [mkdir('/a.txt/sub', { makeParents: true }), mkfile('/b', 'b')]),
      [copy('/', '/', { dirCopyContents: true } as never)],
      [local(llb)],
    ),
  ),
  graph('copy: one name in place of a file', (llb) =>
    llb.file(
      llb.file(undefined, [mkfile('/out', 'a file')]),
      [copy('/dir', '/out', { alwaysReplaceExistingDestPaths: true, dirCopyContents: true } as never)],
      [local(llb)],
    ),
  ),
  graph('copy: with wildcards', (llb) =>
    llb.file(undefined, [mkdir('/out'), copy('/*.txt', '/out/', { allowWildcard: true } as never)], [local(llb)]),
  ),
  graph('copy: wildcards that match nothing', (llb) =>
    llb.file(undefined, [mkdir('/out'), copy('/*.no', '/out/', { allowWildcard: true } as never)], [local(llb)]),
  ),
  graph('copy: wildcards that may match nothing', (llb) =>
    llb.file(
      undefined,
      [mkdir('/out'), copy('/*.no', '/out/', { allowWildcard: true, allowEmptyWildcard: true } as never)],
      [local(llb)],
    ),
  ),
  graph('copy: a name that looks like a pattern', (llb) =>
    llb.file(undefined, [copy('/star*name', '/x')], [local(llb)]),
  ),
  graph('copy: a link as it is', (llb) => llb.file(undefined, [copy('/link', '/x')], [local(llb)])),
  graph('copy: what a link leads to', (llb) =>
    llb.file(undefined, [copy('/link', '/x', { followSymlink: true } as never)], [local(llb)]),
  ),
  graph('copy: with mode and owner', (llb) =>
    llb.file(
      undefined,
      [
        mkdir('/out'),
        copy('/dir', '/out/', {
          mode: 0o640,
          owner: { user: { user: { case: 'byID', value: 3 } }, group: { user: { case: 'byID', value: 4 } } },
        } as never),
      ],
      [local(llb)],
    ),
  ),
  graph('copy: patterns of what to take and to leave', (llb) =>
    llb.file(
      undefined,
      [
        copy('/', '/out', {
          dirCopyContents: true,
          createDestPath: true,
          includePatterns: ['**/*.txt'],
          excludePatterns: ['a.txt'],
        } as never),
      ],
      [local(llb)],
    ),
  ),
  graph('copy: what is not there', (llb) => llb.file(undefined, [copy('/nosuch', '/x')], [local(llb)])),
  graph(
    'copy: from an image, upon another',
    (llb) =>
      llb.file(note(llb), [copy('/bin/sh', '/shell', { followSymlink: true } as never), rm('/note')], [llb.image()]),
    { below: 'note' },
  ),
  graph(
    'copy: users by the names of an image',
    (llb) =>
      llb.file(llb.image(), [
        mkfile('/etc/passwd', 'root:x:0:0::/:\nsomebody:x:77:88::/:\n'),
        mkfile('/etc/group', 'root:x:0:\nsomebody:x:88:\n'),
        mkdir('/out', { owner: { user: { user: { case: 'byName', value: { name: 'somebody', input: 1n } } } } }),
      ]),
    out,
  ),

  graph('merge: files of three', (llb) =>
    llb.merge(
      note(llb),
      llb.file(undefined, [mkdir('/d'), mkfile('/d/two', '2')]),
      llb.file(undefined, [mkdir('/d'), mkfile('/d/three', '3'), mkfile('/note', 'over')]),
    ),
  ),
  graph(
    'merge: a command upon it',
    (llb) =>
      llb.run(
        llb.merge(llb.image(), llb.file(undefined, [mkdir('/out'), mkfile('/out/x', 'x')])),
        'cp /out/x /out/y',
      )(),
    out,
  ),
  graph('merge: with itself, and with nothing more', (llb) => llb.merge(note(llb), note(llb))),
  graph(
    'diff: what a command did',
    (llb) => {
      const base = llb.image();
      return llb.diff(base, llb.run(base, 'mkdir /out; echo new >/out/x')());
    },
    out,
  ),
  graph('diff: from nothing', (llb) => llb.diff(undefined, note(llb))),
  graph('diff: put on something else', (llb) => {
    const base = note(llb);
    const changed = llb.file(base, [rm('/note'), mkfile('/new', 'n')]);
    return llb.merge(llb.file(undefined, [mkfile('/note', 'other'), mkfile('/stay', 's')]), llb.diff(base, changed));
  }),
  graph('diff: of what was made side by side', (llb) => {
    const one = llb.file(undefined, [mkfile('/same', 's', { timestamp: 1000000000n }), mkfile('/one', '1')]);
    const two = llb.file(undefined, [mkfile('/same', 's', { timestamp: 1000000000n }), mkfile('/two', '2')]);
    return llb.diff(one, two);
  }),

  graph('refused: a build within the build', (llb) =>
    llb.add({ inputs: [llb.image()], op: { case: 'build', value: { builder: 0n } } })(),
  ),
  graph('refused: an insecure command', (llb) => llb.run(llb.image(), 'true', { security: SecurityMode.INSECURE })()),
];
