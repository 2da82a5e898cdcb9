import type { CaseResult } from './run-case.ts';

/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. */
export const DIFFERENCES: Readonly<
  Record<string, { readonly why: string; readonly result: Partial<CaseResult> } | undefined>
> = {
  'load of nonsense': {
    why: 'says what the archive is, not that a reader met its end',
    result: { stderr: 'Error response from daemon: invalid tar: unexpected end of the archive\n' },
  },
  'run has the default devices': {
    why: 'crun makes the link /dev/core too; runc does not',
    result: {
      stdout: 'core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nrc=0\n',
    },
  },
  'inspect default logging': {
    why: 'logs are bounded by default: three files of 10 MB',
    result: { stdout: '{"Type":"json-file","Config":{"max-file":"3","max-size":"10m"}}\n' },
  },
  'save of a missing image': {
    why: 'names the image',
    result: { stderr: 'Error response from daemon: No such image: <name>:none\n' },
  },
  'volume create with other options later': {
    why: 'a volume that exists with other options is refused; dockerd gives the old one, and the options are lost',
    result: { stdout: 'rc=1\nnull\n' },
  },
  'run -v over a file of the image': {
    why: 'names the place in the container, and no directory of the engine',
    result: {
      stderr:
        'docker: Error response from daemon: cannot mount volume over existing file, file exists /etc/passwd\n\n' +
        "Run 'docker run --help' for more information\n",
    },
  },
  'events with an unknown filter': {
    why: 'a filter that does not exist is refused; dockerd ignores it and sends everything',
    result: { exitCode: 0, stdout: 'rc=1\n', stderr: "Error response from daemon: invalid filter 'nonsense'\n" },
  },
  'network ls dangling': {
    why: 'a network that a container is on does not dangle; dockerd looks into an empty list',
    result: { stdout: '<name>\nrc=0\n' },
  },
  'run -p to port 0': {
    why: 'there is no port 0',
    result: {
      stdout: 'rc=125\n',
      stderr:
        'docker: Error response from daemon: invalid port specification: "0/tcp"\n\n' +
        "Run 'docker run --help' for more information\n",
    },
  },
};
