import type { Finding } from '../../../api/why.ts';

interface Cause {
  readonly kind: string;
  readonly words: RegExp;
  readonly hint: string | ((match: RegExpExecArray) => string);
}

/** What a start fails of, by the words of its error: the first that fits. */
const CAUSES: readonly Cause[] = [
  {
    kind: 'command-not-found',
    words: /exec: "([^"]*)": (?:executable file not found|stat \S+: no such file)/,
    hint: ([, command]) =>
      `the image has no program ${command}: look at its ENTRYPOINT and CMD (gantry image inspect), or start a shell in it (gantry run -it --entrypoint sh IMAGE)`,
  },
  {
    kind: 'command-not-executable',
    words: /exec: "([^"]*)": permission denied|(\S+): is a directory/,
    hint: ([, command]) =>
      `${command ?? 'it'} is a directory or lacks its executable bit: COPY --chmod=755 it in the build`,
  },
  {
    kind: 'wrong-architecture',
    words: /exec format error/,
    hint: 'the program is for another architecture, or a script without its #! line: pull with --platform, or install binfmt emulation',
  },
  {
    kind: 'mount-source-missing',
    words: /bind source path does not exist: (.*)|mount source path '([^']*)'/,
    hint: ([, one, other]) => `make ${one ?? other} on the host, or change the mount (it takes a new container)`,
  },
  {
    kind: 'volume-missing',
    words: /no such volume: (\S+)|volume (\S+) (?:does not exist|not found)/i,
    hint: ([, one, other]) => `gantry volume create ${one ?? other}; gantry undo --list shows whether it was removed`,
  },
  {
    kind: 'network-missing',
    words: /network (\S+) not found/,
    hint: ([, name]) =>
      `gantry network create ${name}, or gantry network disconnect -f ${name} CONTAINER and connect another; gantry undo --list shows whether it was removed`,
  },
  {
    kind: 'port-taken',
    words: /Bind for (\S+) failed: port is already allocated(?: \((.*)\))?/,
    hint: ([, address, holder]) =>
      `${address} is taken${holder === undefined ? '' : ` (${holder})`}: stop what holds it, or publish another port`,
  },
  {
    kind: 'joined-container-gone',
    words: /join(?:ing)? .*namespace.*(?:No such container|non running container)/,
    hint: 'start the container whose namespace it shares first',
  },
  {
    kind: 'user-missing',
    words: /unable to find (?:user|group) (\S+):/,
    hint: 'the image has no such user: use a number, or add the user in the build',
  },
  {
    kind: 'device-missing',
    words: /custom device "([^"]*)"/,
    hint: ([, device]) => `the host has no ${device}`,
  },
  {
    kind: 'working-directory',
    words: /Cannot mkdir: (\S+)/,
    hint: 'its working directory is a file: change WORKDIR, or run with -w',
  },
  {
    kind: 'image-missing',
    words: /No such image: (\S+)|snapshot .* (?:not found|is gone)/,
    hint: 'pull the image again, and make the container anew',
  },
  {
    kind: 'no-space',
    words: /no space left|disk .*full|quota exceeded|ENOSPC/i,
    hint: 'free space: gantry system df, gantry system prune',
  },
  {
    kind: 'read-only',
    words: /read-only file system|EROFS/i,
    hint: 'a place that is written to is mounted read-only: mount a volume or a tmpfs there',
  },
  {
    kind: 'permission-denied',
    words: /permission denied|operation not permitted|EACCES|EPERM/i,
    hint: 'a right is missing, on the host or for the user of the container',
  },
];

/** Why a start failed, from its error. */
export function failedStart(error: string): Finding {
  for (const { kind, words, hint } of CAUSES) {
    const match = words.exec(error);
    if (match)
      return {
        Kind: kind,
        Text: `it could not be started: ${tail(error)}`,
        Hint: typeof hint === 'string' ? hint : hint(match),
      };
  }
  return { Kind: 'start-failed', Text: `it could not be started: ${tail(error)}` };
}

/** Without the wrappings that every runtime error comes in. */
function tail(error: string): string {
  return error
    .replace(/^failed to create task for container: failed to create shim task: OCI runtime create failed: /, '')
    .replace(/^(?:runc|crun) create failed: unable to start container process: /, '')
    .replace(/^failed to set up container networking: /, '');
}
