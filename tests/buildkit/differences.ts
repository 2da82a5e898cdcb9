import type { CaseResult } from './run-case.ts';

/** Where Gantry answers otherwise than dockerd 28.5 with its BuildKit, on purpose, and why. */
export const DIFFERENCES: Readonly<
  Record<string, { readonly why: string; readonly result: Partial<CaseResult> } | undefined>
> = {
  'no FROM': {
    why: 'names the line',
    result: {
      stdout: 'ERROR: failed to solve: dockerfile parse error on line 1: no build stage in current context\nrc=1\n',
    },
  },
  'a file that is not there': {
    why: 'says what happened, not on which reference to a checksum',
    result: {
      stdout:
        'ERROR: failed to solve: COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch: file does not exist\nrc=1\n',
    },
  },
  'history of the image': {
    why: 'no advertisement in the history',
    result: { stdout: 'CMD ["x"]\nRUN /bin/sh -c echo x >/x\nENV A=1\n' },
  },
  'a source policy that denies an image': {
    why: 'says what happened, without the place in the builder',
    result: {
      stdout:
        'ERROR: failed to solve: error evaluating the source policy: source "docker-image://docker.io/library/busybox:latest" denied by policy\nrc=1\n',
    },
  },
  'a source policy about a file of the web': {
    why: 'says what happened, without the place in the builder',
    result: {
      stdout:
        'ERROR: failed to solve: error evaluating the source policy: source "https://nosuch.invalid/x" denied by policy\nrc=1\n',
    },
  },
  'a source policy about the context': {
    why: 'says what happened, without the place in the builder',
    result: {
      stdout:
        'ERROR: failed to solve: error evaluating the source policy: source "local://context" denied by policy\nrc=1\n',
    },
  },
  'a layout as a named context': {
    why: "dockerd's own builder has no such source; BuildKit's has",
    result: {
      exitCode: 0,
      stdout:
        'rc=0\n["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] ["sh"] null   null null null amd64 3\n',
    },
  },
  'a cache mount': {
    why: 'a cache mount outlives --no-cache, as its reference says: what it holds is no result of a step',
    result: { stdout: 'rc=0\n/o 644 0:0 regular file\n/o: 1\n1\n' },
  },
};
