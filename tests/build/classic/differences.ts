/** Where Gantry answers otherwise than dockerd 28.5, on purpose, and why. */
export const DIFFERENCES: readonly {
  /** Names of cases. */
  readonly at: RegExp;
  /** Which parts of the answer. */
  readonly part: RegExp;
  readonly why: string;
}[] = [
  {
    at: /^shmsize is no number|^a tag (in capitals|of three parts|with a digest)/,
    part: /^\.status$/,
    why: 'what can never succeed as written is 400, where dockerd says 500',
  },
  {
    at: /^Dockerfile (above|of the host|that is not|is a)|^(no body|a body (of|without))/,
    part: /^\.status$/,
    why: 'what can never succeed as written is 400, where dockerd says 500',
  },
  {
    at: /^(an answer|a server|a scheme|an address|a branch|a repository) that /,
    part: /^\.(status|error)$/,
    why: 'an address that gives nothing is 400 and named; 404 would mean that there is no such request',
  },
  {
    at: /^(a host (that|with)|hosts as JSON|a network that is not there$|the network of)/,
    part: /^\.steps\b/,
    why: 'what no step can run with is told before any is begun',
  },
  {
    at: /^(shmsize below|a ulimit (that|with)|memory is too|processors that|a period that)/,
    part: /^\.steps\b/,
    why: 'what no step can run with is told before any is begun',
  },
  { at: /^a ulimit (that|with)/, part: /^\.error$/, why: 'the words of a container that is created' },
  { at: /^shmsize is no number/, part: /^\.error$/, why: 'one set of words for what is no number' },
  {
    at: /^(ulimits|cachefrom) are no JSON|^cachefrom is no JSON/,
    part: /^\.error$/,
    why: 'one set of words for what is no JSON',
  },
  {
    at: /^a command that is not there/,
    part: /^\.error$/,
    why: 'as of a shell: exit code 127, and what is missing above it',
  },
  { at: /^a platform that is none/, part: /^\.error$/, why: 'says what a platform looks like' },
  {
    at: /^Dockerfile is a/,
    part: /^\.error$/,
    why: 'says what is wrong with the file, and names no path of the host',
  },
  {
    at: /breaks off|no tar$|damaged|of 2 MiB|above the context|hard link to/,
    part: /^\.error$/,
    why: 'says what is wrong with the archive',
  },
  { at: /of 2 MiB/, part: /^\.status$/, why: 'too much is 413' },
  {
    at: /^file is left out/,
    part: /^\.(error|built\b)/,
    why: 'BuildKit decides: .dockerignore holds for archives too',
  },
  {
    at: /^a repository$/,
    part: /^\.(status|error|steps\b|built\b)/,
    why: 'the branch that the repository itself names, not master',
  },
  {
    at: /^a remote beside a body/,
    part: /^\.(steps|built)\b/,
    why: 'dockerd ends without a word and without an image; the address counts',
  },
  { at: /^(an empty Dockerfile|a Dockerfile of comments)/, part: /^\.error$/, why: 'BuildKit’s words' },
  {
    at: /^nothing but scratch/,
    part: /^\.(error|built\b)/,
    why: 'BuildKit decides: an image of no files is one',
  },
  {
    at: /^a source above the context/,
    part: /^\.error$/,
    why: 'BuildKit decides: a path goes no further than the root',
  },
  {
    at: /^a stage to copy from/,
    part: /^\.(status|error|steps\b)/,
    why: 'BuildKit decides: a stage that cannot be copied from is told before any step',
  },
];
