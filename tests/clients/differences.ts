import type { CaseResult } from './run-case.ts';

/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. */
export const DIFFERENCES: Readonly<
  Record<string, { readonly why: string; readonly result: Partial<CaseResult> } | undefined>
> = {
  'load of nonsense': {
    why: 'says what the archive is, not that a reader met its end',
    result: { stderr: 'Error response from daemon: invalid tar: unexpected end of the archive\n' },
  },
  'save of a missing image': {
    why: 'names the image',
    result: { stderr: 'Error response from daemon: No such image: <name>:none\n' },
  },
  'events with an unknown filter': {
    why: 'a filter that does not exist is refused; dockerd ignores it and sends everything',
    result: { exitCode: 0, stdout: 'rc=1\n', stderr: "Error response from daemon: invalid filter 'nonsense'\n" },
  },
};
