import type { BuildCase } from './case.ts';

const PARENTS = 'the frontend in dockerd 28.5 does not know --parents: Dockerfile 1.20 does';

/** Cases of flags that meet each other, and of forms that are seldom written. */
export const MORE_CASES: Readonly<Record<string, BuildCase>> = {
  'more: link over a link in the image': {
    dockerfile: 'FROM base\nRUN mkdir /real && ln -s /real /lnk\nCOPY --link a.txt /lnk/x\n',
    difference: { why: 'dockerd copies --link as without it: the reference says that it never follows a link' },
  },
  'more: link with chown by number': { dockerfile: 'FROM base\nCOPY --link --chown=11:12 dir /d\n' },
  'more: link with chmod': { dockerfile: 'FROM base\nCOPY --link --chmod=0700 dir /d\n' },
  'more: link from a stage': {
    dockerfile: 'FROM base AS a\nRUN mkdir -p /o/p && echo 1 >/o/p/f\nFROM scratch\nCOPY --link --from=a /o /n\n',
  },
  'more: link of a heredoc': { dockerfile: 'FROM scratch\nCOPY --link <<EOF /d/x\nh\nEOF\n' },
  'more: link below the working directory': { dockerfile: 'FROM base\nWORKDIR /w\nCOPY --link a.txt sub/\n' },
  'more: parents of a file': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/sub/three /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents of a wildcard': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/*/three /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents of a double wildcard': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/**/*.md /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents with a pivot': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/./sub/three /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents with a pivot and a wildcard': {
    dockerfile: 'FROM scratch\nCOPY --parents ./dir/./sub/* /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents of several': {
    dockerfile: 'FROM scratch\nCOPY --parents a.txt dir/one dir/sub/three /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents of a directory': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/sub /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents keep the mode': {
    dockerfile: 'FROM scratch\nCOPY --parents private/x /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents with exclude': {
    dockerfile: 'FROM scratch\nCOPY --parents --exclude=**/*.md dir /d/\n',
    difference: { why: PARENTS },
  },
  'more: parents from a stage': {
    dockerfile:
      'FROM base AS a\nRUN mkdir -p /o/p && echo 1 >/o/p/f\nFROM scratch\nCOPY --parents --from=a /o/p/f /n/\n',
    difference: { why: PARENTS },
  },
  'more: parents of what is not there': {
    dockerfile: 'FROM scratch\nCOPY --parents dir/nope /d/\n',
    difference: { why: PARENTS, error: 'not found' },
  },
  'more: parents with add': { dockerfile: 'FROM scratch\nADD --parents dir/sub/three /d/\n' },
  'more: exclude with a wildcard source': { dockerfile: 'FROM scratch\nCOPY --exclude=b* *.txt /d/\n' },
  'more: exclude a path from the root': { dockerfile: 'FROM scratch\nCOPY --exclude=dir/one . /d/\n' },
  'more: exclude everything': { dockerfile: 'FROM scratch\nCOPY --exclude=* dir /d/\n' },
  'more: exclude from a stage': {
    dockerfile:
      'FROM base AS a\nRUN mkdir -p /o/p && echo 1 >/o/p/f && echo 2 >/o/g\nFROM scratch\nCOPY --exclude=p --from=a /o /n\n',
  },
  'more: exclude with add': { dockerfile: 'FROM scratch\nADD --exclude=sub dir /d\n' },
  'more: exclude by an argument': { dockerfile: 'FROM scratch\nARG E=sub\nCOPY --exclude=$E dir /d\n' },
  'more: chmod takes from a mode': { dockerfile: 'FROM scratch\nCOPY --chmod=g=u secret.key /x\n' },
  'more: chmod several clauses': {
    dockerfile: 'FROM scratch\nCOPY --chmod=u+x,g-w,o= dir /d\n',
    difference: {
      why: 'dockerd leaves the directory that it makes itself at 755: the mode is for it too, as with octal modes',
    },
  },
  'more: chmod capital X': { dockerfile: 'FROM scratch\nCOPY --chmod=a+X dir run.sh secret.key /d/\n' },
  'more: chmod set ids': { dockerfile: 'FROM scratch\nCOPY --chmod=u+s,g+s run.sh /x\n' },
  'more: chmod by an argument': { dockerfile: 'FROM scratch\nARG M=0640\nCOPY --chmod=$M a.txt /x\n' },
  'more: chmod of a heredoc': { dockerfile: 'FROM scratch\nCOPY --chmod=u=rx,go= <<EOF /x\nh\nEOF\n' },
  'more: chown of a name': {
    dockerfile: 'FROM base\nRUN echo "me:x:77:88::/:/bin/sh" >>/etc/passwd\nCOPY --chown=me a.txt /x\n',
  },
  'more: chown of a name and a group': {
    dockerfile:
      'FROM base\nRUN echo "me:x:77:88::/:/bin/sh" >>/etc/passwd; echo "us:x:99:" >>/etc/group\nCOPY --chown=me:us dir /d\n',
  },
  'more: chown by an argument': { dockerfile: 'FROM scratch\nARG U=7\nCOPY --chown=$U:8 a.txt /x\n' },
  'more: heredoc with a backslash': { dockerfile: 'FROM scratch\nCOPY <<EOF /x\na\\\\b \\$A\nEOF\n' },
  'more: heredoc named in quotes with a space in front': { dockerfile: 'FROM scratch\nCOPY <<"E F" /x\nh\nE F\n' },
  'more: heredoc in a shell of ones own': {
    dockerfile: 'FROM base\nSHELL ["/bin/sh", "-ec"]\nRUN <<EOF\nfalse || echo kept >/x\nEOF\n',
  },
  'more: two heredocs and a command': {
    dockerfile: 'FROM base\nRUN cat <<A <<B >/x; echo end >>/x\none\nA\ntwo\nB\n',
  },
  'more: a heredoc in onbuild run': {
    dockerfile: 'FROM base AS p\nONBUILD RUN <<EOF\necho on >/x\nEOF\nFROM p\n',
  },
  'more: bind of a stage, written to': {
    dockerfile:
      'FROM base AS a\nRUN echo 1 >/f\nFROM base\nRUN --mount=type=bind,from=a,source=/f,target=/m,rw echo 2 >/m && cat /m >/x\n',
  },
  'more: bind of a directory of the context': {
    dockerfile: 'FROM base\nRUN --mount=target=/c,source=dir cp -r /c /x\n',
  },
  'more: tmpfs leaves nothing': { dockerfile: 'FROM base\nRUN --mount=type=tmpfs,target=/t echo 1 >/t/f; ls /t >/x\n' },
  'more: two caches with one id': {
    dockerfile:
      'FROM base\nRUN --mount=type=cache,id=conf-more,target=/c echo 1 >/c/f\nRUN --mount=type=cache,id=conf-more,target=/d cat /d/f >/x\n',
  },
  'more: cache with a mode and an owner': {
    dockerfile:
      'FROM base\nRUN --mount=type=cache,target=/c-more,mode=0711,uid=5,gid=6 stat -c "%a %u %g" /c-more >/x\n',
  },
  'more: entrypoint and cmd of a stage below': {
    dockerfile: 'FROM base AS a\nENTRYPOINT ["/e"]\nCMD ["c"]\nFROM a\nCMD ["d"]\n',
  },
  'more: entrypoint drops the cmd below': { dockerfile: 'FROM base AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["/e"]\n' },
  'more: labels in several forms': { dockerfile: 'FROM scratch\nLABEL a=1 "b c"="d e" f=\'g h\'\nLABEL a=2\n' },
  'more: env of env': { dockerfile: 'FROM scratch\nENV A=1 B=$A\nENV A=2 C=${A}${B}\n' },
  'more: workdir by variables': { dockerfile: 'FROM base\nENV D=/a/b\nWORKDIR $D/c\nWORKDIR ../d\nRUN pwd >/x\n' },
  'more: volume and what is written into it': { dockerfile: 'FROM base\nVOLUME /v\nRUN echo 1 >/v/f\n' },
};
