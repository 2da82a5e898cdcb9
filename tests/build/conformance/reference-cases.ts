import type { BuildCase } from './case.ts';

const scratch = (lines: string): string => `FROM scratch\nCOPY a.txt /\n${lines}\n`;
const base = (lines: string): string => `FROM base\n${lines}\n`;
const config = (lines: string): BuildCase => ({ dockerfile: scratch(lines) });
const run = (lines: string): BuildCase => ({ dockerfile: base(lines) });

/** What the Dockerfile reference says, page by page: its examples and statements. */
export const REFERENCE_CASES: Readonly<Record<string, BuildCase>> = {
  // Format
  'ref: white space before comments and instructions': run('     # c\n   RUN echo hello >/x\n\tLABEL a=b'),
  'ref: white space in arguments stays': run('RUN echo "\\\n     hello\\\n     world" >/x'),
  'ref: a comment between continued lines': run('RUN echo hello \\\n# comment\n   # another\nworld >/x'),
  'ref: a comment has no continuation': run('# a \\\nRUN echo 1 >/x'),
  'ref: a sharp in a line is an argument': run("RUN echo 'some # of cool things' >/x # c"),
  'ref: an instruction before FROM': { dockerfile: 'RUN x\nFROM base\n' },
  'ref: ARG and comments before FROM': { dockerfile: '# c\nARG A=1\n\nARG B=scratch\nFROM $B\nCOPY a.txt /\n' },

  // Parser directives
  'ref: directives in any case and spacing': {
    dockerfile: '#\t  eScApE = `\nFROM scratch\nENV A=a`\n  B=b\nCOPY a.txt /\n',
  },
  'ref: an unknown directive ends directives': {
    dockerfile: '# unknowndirective=value\n# escape=`\nFROM scratch\nENV A=a\\\n  B=b\nCOPY a.txt /\n',
  },
  'ref: a directive after an empty line': {
    dockerfile: '\n# escape=`\nFROM scratch\nENV A=a\\\n  B=b\nCOPY a.txt /\n',
  },
  'ref: escape in values': {
    dockerfile: '# escape=`\nFROM scratch\nENV A=1 B=`$A C=a` b D=c:\\d\nCOPY a.txt c:\\x\\\nCOPY b.txt /\n',
  },
  'ref: check skips all': { dockerfile: '#check=skip=all\nFROM scratch\nMAINTAINER me\nCOPY a.txt /\n' },
  'ref: check makes warnings errors': { dockerfile: '# check=error=true\nFROM scratch\nMAINTAINER me\nCOPY a.txt /\n' },
  'ref: check skips one and makes errors': {
    dockerfile: '# check=skip=MaintainerDeprecated;error=true\nFROM scratch\nMAINTAINER me\nCOPY a.txt /\n',
  },
  'ref: check with an error on another': {
    dockerfile: '# check=skip=StageNameCasing;error=true\nFROM scratch\nMAINTAINER me\nCOPY a.txt /\n',
  },

  // Environment replacement
  'ref: modifiers of what is set, empty and unset': config(
    'ENV S=set E=\nLABEL a=${S:-w} b=${S-w} c=${S:+w} d=${S+w} e=${E:-w} f=${E-w} g=${E:+w} h=${E+w} i=${U:-w} j=${U-w} k=${U:+w} l=${U+w}',
  ),
  'ref: modifiers in modifiers': config(
    'ENV A=1\nLABEL a=${U:-${A}} b=${U:-${V:-deep}} c=${A:+${A}x$A} d="${U:-a b}" e=${U:-"q"}',
  ),
  'ref: prefixes': config('ENV s=foobarbaz\nLABEL a=${s#f*b} b=${s##f*b} c=${s#x} d=${s#*} e=${s##*}'),
  'ref: suffixes': config('ENV s=foobarbaz\nLABEL a=${s%b*} b=${s%%b*} c=${s%x} d=${s%*} e=${s%%*}'),
  'ref: replacements': config(
    'ENV s=foobarbaz\nLABEL a=${s/ba/fo} b=${s//ba/fo} c=${s/ba} d=${s//ba/} e=${s/b?r/X} f=${s//a*/Y}',
  ),
  'ref: patterns with escapes': config('ENV s=a*b?c\nLABEL a=${s#a\\*} b=${s%\\?c} c=${s/\\*/-} d=${s//\\?/-}'),
  'ref: variables in patterns': config('ENV s=foobar p=foo\nLABEL a=${s#$p} b=${s/$p/x} c=${s/foo/$p$p}'),
  'ref: escaped names': config('ENV foo=1\nLABEL a=\\$foo b=\\${foo} c="\\$foo" d=\'$foo\' e=a\\\\$foo'),
  'ref: one instruction sees one value': config('ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc'),
  'ref: unset is empty': config('LABEL a=x${U}y b=$U c=$1 d=$'),
  'ref: names end where they end': config('ENV A=1 A_B=2\nLABEL a=$A-B b=$A_B c=${A}_B d=$A.B'),
  'ref: variables in every instruction': {
    dockerfile:
      'ARG F=scratch\nFROM $F\nENV V=a.txt D=/d P=80 S=SIGINT U=7 K=key\nADD $V $D/\nCOPY ${V} ${D}2\nEXPOSE $P/udp ${P}81\nLABEL $K=$V "$K 2"="${V}"\nSTOPSIGNAL $S\nUSER $U:$U\nVOLUME $D ["x"]\nVOLUME ["$D/v"]\nWORKDIR $D/w\n',
  },
  'ref: no variables in CMD and ENTRYPOINT': config('ENV A=1\nCMD ["$A"]\nENTRYPOINT echo $A'),
  'ref: no variables in HEALTHCHECK': config('ENV A=1\nHEALTHCHECK CMD test $A'),
  'ref: no variables in SHELL': config('ENV A=1\nSHELL ["$A"]\nCMD x'),
  'ref: variables in ONBUILD when it runs': {
    dockerfile:
      'FROM scratch AS a\nENV A=first\nONBUILD LABEL l=$A\nONBUILD COPY a.txt /$A\nFROM a\nENV A=second\nLABEL m=$A\n',
  },
  'ref: no variables in ARG names': { dockerfile: 'FROM scratch\nARG A=B\nARG $A=c\nLABEL l=$B\nCOPY a.txt /\n' },

  // Shell and exec form
  'ref: exec form has no shell': run('RUN ["sh", "-c", "echo $0 >/x", "$HOME"]'),
  'ref: exec form with backslashes unescaped is shell form': run('RUN ["c:\\windows\\system32"] || echo shell >/x'),
  'ref: exec form with single quotes is shell form': run("RUN ['sh'] || echo shell >/x"),
  'ref: exec form over lines': run('RUN ["sh", \\\n  "-c", \\\n  "echo 1 >/x"]'),
  'ref: exec form with escapes': config('CMD ["a\\"b", "c\\\\d", "\\u00e9", "\\n"]'),
  'ref: exec form with a number': config('CMD ["a", 1]'),
  'ref: exec form with text behind': config('CMD ["a"] b'),

  // FROM
  'ref: stage of the build platform': {
    dockerfile: 'FROM --platform=$BUILDPLATFORM base AS a\nRUN echo 1 >/x\nFROM scratch\nCOPY --from=a /x /\n',
  },
  'ref: platform by an ARG with a default': {
    dockerfile: 'ARG P=linux/amd64\nFROM --platform=${P} base\nRUN uname -m >/x\n',
  },
  'ref: platform that is none': { dockerfile: 'FROM --platform=a/b/c/d base\nRUN true\n' },
  'ref: a flag that FROM lacks': { dockerfile: 'FROM --plat=x base\n' },
  'ref: ARG in front of FROM is out of stages': {
    dockerfile: 'ARG V=1\nFROM scratch\nLABEL a=x$V\nARG V\nLABEL b=x$V\nCOPY a.txt /\n',
  },
  'ref: ARG in a stage with a default of its own': {
    dockerfile: 'ARG V=1\nFROM scratch\nARG V=2\nLABEL b=x$V\nCOPY a.txt /\n',
  },
  'ref: ARG of ARG in front of FROM': {
    dockerfile: 'ARG A=scra\nARG B=${A}tch\nFROM $B\nARG B\nLABEL b=$B\nCOPY a.txt /\n',
  },
  'ref: AS in lower case': { dockerfile: 'from scratch as One\ncopy a.txt /\nfrom one\nlabel a=b\n' },
  'ref: a stage by a name in another case': {
    dockerfile: 'FROM scratch AS one\nCOPY a.txt /\nFROM ONE\n',
    difference: { why: 'dockerd takes it for an image here, and for the stage in COPY --from' },
  },

  // RUN
  'ref: network none has a loopback': run('RUN --network=none ls /sys/class/net >/x'),
  'ref: security sandbox': {
    ...run('RUN --security=sandbox echo 1 >/x'),
    difference: { why: 'the frontend in dockerd 28.5 does not know it yet: the reference does' },
  },
  'ref: security insecure needs to be allowed': run('RUN --security=insecure echo 1 >/x'),
  'ref: network host needs to be allowed': run('RUN --network=host echo 1 >/x'),
  'ref: a device': {
    ...run('RUN --device=vendor.example/class=none,required true'),
    difference: { why: 'the frontend in dockerd 28.5 does not know it yet: the reference does', error: 'not found' },
  },
  'ref: a device by a wrong name': {
    ...run('RUN --device=/dev/null true'),
    difference: { why: 'the frontend in dockerd 28.5 does not know it yet: the reference does', error: 'syntax' },
  },
  'ref: bind is the default mount': run('RUN --mount=target=/m cat /m/a.txt /m/dir/one >/x'),
  'ref: bind from a stage with a source': {
    dockerfile:
      'FROM base AS a\nRUN mkdir -p /s/t && echo 1 >/s/t/f\nFROM base\nRUN --mount=from=a,source=/s/t,target=/m,readwrite cat /m/f >/x && echo 2 >/m/g\n',
  },
  'ref: bind with destination and src': run('RUN --mount=type=bind,src=dir,destination=/m ls /m >/x'),
  'ref: bind read-only in words': run('RUN --mount=type=bind,target=/m,ro=true touch /m/new || echo ro >/x'),
  'ref: bind rw=false': run('RUN --mount=type=bind,target=/m,rw=false touch /m/new || echo ro >/x'),
  'ref: cache read-only': run('RUN --mount=type=cache,target=/c,id=ref-ro,readonly touch /c/x || echo ro >/x'),
  'ref: cache of one id at two targets': run(
    'RUN --mount=type=cache,id=ref-two,target=/c echo 1 >/c/f\nRUN --mount=type=cache,id=ref-two,target=/d cat /d/f >/x',
  ),
  'ref: cache with source below from': {
    dockerfile:
      'FROM base AS a\nRUN mkdir -p /s/t && echo 1 >/s/t/f\nFROM base\nRUN --mount=type=cache,id=ref-from,from=a,source=/s/t,target=/c cat /c/f >/x\n',
  },
  'ref: cache private': run(
    'RUN --mount=type=cache,id=ref-priv,sharing=private,target=/c echo 1 >/c/f && cat /c/f >/x',
  ),
  'ref: cache relative target': run(
    'WORKDIR /w\nRUN --mount=type=cache,id=ref-rel,target=c echo 1 >/w/c/f; ls -d /w/c >/x',
  ),
  'ref: tmpfs with a size': run('RUN --mount=type=tmpfs,target=/t,size=8m df -k /t | tail -1 | awk "{print \\$2}" >/x'),
  'ref: tmpfs with a wrong size': run('RUN --mount=type=tmpfs,target=/t,size=much true'),
  'ref: secret not there and not needed': run(
    'RUN --mount=type=secret,id=none,env=NONE test ! -e /run/secrets/none && echo "[$NONE]" >/x',
  ),
  'ref: secret not there and required': run('RUN --mount=type=secret,id=none,required=true true'),
  'ref: secret without id and target': run('RUN --mount=type=secret true'),
  'ref: secret with a wrong mode': run('RUN --mount=type=secret,id=a,mode=rw true'),
  'ref: ssh not there and not needed': run('RUN --mount=type=ssh echo "[$SSH_AUTH_SOCK]" >/x'),
  'ref: ssh not there and required': run('RUN --mount=type=ssh,required true'),
  'ref: mount from with a variable': {
    dockerfile: 'FROM base AS a\nRUN echo 1 >/f\nFROM base\nARG S=a\nRUN --mount=from=$S,target=/m true\n',
  },
  'ref: mount target with a variable': run('ENV T=/m\nRUN --mount=type=tmpfs,target=$T/t mount | grep -c " /m/t " >/x'),
  'ref: mount flags twice': run('RUN --mount=type=tmpfs,target=/t --network=none --network=default true'),
  'ref: mount is in quotes': run('RUN --mount=type=bind,"source=with space.txt",target=/m cat /m >/x'),

  // CMD and ENTRYPOINT
  ...Object.fromEntries(
    ['', 'ENTRYPOINT exec_entry p1_entry', 'ENTRYPOINT ["exec_entry", "p1_entry"]'].flatMap((entry) =>
      ['', 'CMD ["exec_cmd", "p1_cmd"]', 'CMD exec_cmd p1_cmd'].map((cmd): [string, BuildCase] => [
        `ref: table of ${entry || 'no ENTRYPOINT'} and ${cmd || 'no CMD'}`,
        config(`${entry}\n${cmd}`),
      ]),
    ),
  ),
  'ref: last ENTRYPOINT counts': config('ENTRYPOINT ["a"]\nENTRYPOINT ["b"]'),
  'ref: ENTRYPOINT drops the CMD of its base': {
    dockerfile: 'FROM scratch AS a\nCOPY a.txt /\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]\n',
  },
  'ref: empty ENTRYPOINT': {
    dockerfile: 'FROM scratch AS a\nCOPY a.txt /\nENTRYPOINT ["c"]\nCMD ["d"]\nFROM a\nENTRYPOINT []\n',
  },

  // LABEL, EXPOSE, ENV
  'ref: labels of the page': config(
    'LABEL "com.example.vendor"="ACME Incorporated"\nLABEL com.example.label-with-value="foo"\nLABEL version="1.0"\nLABEL description="This text illustrates \\\nthat label-values can span multiple lines."\nLABEL multi.label1="value1" \\\n      multi.label2="value2" \\\n      other="value3"',
  ),
  'ref: labels quote or not': config('ENV V=v\nLABEL a="foo-$V" b=\'foo-$V\' c=foo\\ bar'),
  'ref: labels of the last FROM only': {
    dockerfile:
      'FROM scratch AS a\nLABEL a=1\nCOPY a.txt /\nFROM scratch AS b\nLABEL b=1 c=1\nCOPY --from=a /a.txt /\nFROM b\nLABEL c=2\n',
  },
  'ref: label without a value': config('LABEL a'),
  'ref: label with an empty value': config('LABEL a= b=""'),
  'ref: ports with both protocols': config('EXPOSE 80/tcp\nEXPOSE 80/udp 90-92 100-101/sctp'),
  'ref: port with a host': config('EXPOSE 8080:80'),
  'ref: port too large': config('EXPOSE 70000'),
  'ref: port of an unknown protocol': config('EXPOSE 80/ip'),
  'ref: env of the page': config('ENV MY_NAME="John Doe" MY_DOG=Rex\\ The\\ Dog \\\n    MY_CAT=fluffy'),
  'ref: env old form': config('ENV ONE TWO= THREE=world\nENV MY_VAR my-value   x'),
  'ref: env old form with quotes': config('ENV A "a b"  c\nENV B \'$A\''),

  // ADD and COPY
  'ref: a bracket in a name': {
    dockerfile: 'FROM scratch\nADD arr[[]0].txt /mydir/\n',
    files: { 'arr[0].txt': 'x\n', arr0: 'y\n' },
  },
  'ref: an empty file named as an archive': {
    dockerfile: 'FROM scratch\nADD e.tar.gz /d/\n',
    files: { 'e.tar.gz': '' },
  },
  'ref: a leading dot dot is removed': { dockerfile: 'FROM scratch\nADD ../a.txt /d/\nCOPY /../../dir/ /e\n' },
  'ref: several sources need a slash': {
    dockerfile: 'FROM scratch\nCOPY a.txt b.txt /d\n',
    difference: { why: 'dockerd puts one file over the other: the reference wants a slash', error: 'syntax' },
  },
  'ref: several sources by wildcard need a slash': { dockerfile: 'FROM scratch\nCOPY *.txt /d\n' },
  'ref: a file where a directory is': { dockerfile: 'FROM base\nRUN mkdir /d\nCOPY a.txt /d\n' },
  'ref: a directory over a file': { dockerfile: 'FROM base\nRUN mkdir /d && echo >/d/sub\nCOPY dir /d\n' },
  'ref: a directory is merged': {
    dockerfile: 'FROM base\nRUN mkdir -m 700 -p /d/sub && echo old >/d/one && echo own >/d/sub/own\nCOPY dir /d\n',
  },
  'ref: relative to the working directory': {
    dockerfile: 'FROM scratch\nWORKDIR /usr/src/app\nADD a.txt rel/\nCOPY b.txt ./\nCOPY b.txt other\n',
  },
  'ref: a file and a directory of one slash': { dockerfile: 'FROM scratch\nADD a.txt /abs\nADD a.txt /abs2/\n' },
  'ref: mode of made directories': { dockerfile: 'FROM base\nRUN umask 077\nCOPY a.txt /n/m/o/\n' },
  'ref: from of a stage is from its root': {
    dockerfile: 'FROM base AS a\nWORKDIR /w\nRUN echo 1 >f\nFROM scratch\nCOPY --from=a w/f /x\nCOPY --from=a /w /y\n',
  },
  'ref: from with a variable': {
    dockerfile: 'FROM base AS a\nRUN echo 1 >/f\nFROM scratch\nARG S=a\nCOPY --from=$S /f /\n',
  },
  'ref: chmod of the page': {
    dockerfile:
      'FROM scratch\nARG MODE=440\nCOPY --chmod=755 a.txt /app/\nCOPY --chmod=$MODE dir /d\nCOPY --chmod=+x a.txt /p/\nCOPY --chmod=u=rwX,go=rX . /all/\nCOPY --chmod=g=u dir /config/\n',
  },
  'ref: chmod of a directory that is there': {
    dockerfile: 'FROM base\nRUN mkdir -m 700 /d\nCOPY --chmod=755 dir /d\n',
  },
  'ref: chown of the page': {
    dockerfile:
      'FROM base\nRUN echo "mygroup:x:77:" >>/etc/group; echo "bin:x:2:3::/:/bin/sh" >>/etc/passwd; echo "bin:x:3:" >>/etc/group\nCOPY --chown=55:mygroup a.txt /1/\nCOPY --chown=bin a.txt /2/\nCOPY --chown=1 a.txt /3/\nCOPY --chown=10:11 a.txt /4/\nCOPY --chown=bin:mygroup --chmod=644 a.txt /5/\n',
  },
  'ref: chown by a name on nothing': {
    dockerfile: 'FROM scratch\nCOPY --chown=bin a.txt /\n',
    difference: { why: 'other words for the same', error: 'not found' },
  },
  'ref: chown by a name with link': { dockerfile: 'FROM base\nCOPY --link --chown=root a.txt /\n' },
  'ref: link does not follow': {
    dockerfile: 'FROM base\nRUN mkdir /real && ln -s real /l\nCOPY --link a.txt /l/\n',
    difference: { why: 'dockerd copies --link as without it: the reference says that it never follows a link' },
  },
  'ref: link takes the mode of what is copied': {
    dockerfile: 'FROM base\nRUN mkdir -m 1777 /t\nCOPY --link dir /t/\n',
    difference: {
      why: 'dockerd copies --link as without it: the reference says that the mode is that of what is copied',
    },
  },
  'ref: parents of the page': {
    dockerfile:
      'FROM scratch\nCOPY ./x/a.txt ./y/a.txt /no_parents/\nCOPY --parents ./x/a.txt ./y/a.txt /parents/\nCOPY --parents ./x/./y/*.txt /pivot/\nCOPY --parents ./src/**/*.txt /deep/\n',
    files: {
      'x/a.txt': 'xa',
      'y/a.txt': 'ya',
      'x/y/a.txt': '1',
      'x/y/b.txt': '2',
      'src/a.txt': 'a',
      'src/x/b.txt': 'b',
      'src/x/y/c.txt': 'c',
    },
    difference: { why: 'the frontend in dockerd 28.5 does not know it yet: the reference does' },
  },
  'ref: exclude of the page': {
    dockerfile: 'FROM scratch\nCOPY --exclude=*.txt --exclude=*.md hom* /mydir/\n',
    files: { 'home.txt': '1', 'home.md': '2', 'home.c': '3', 'homes/x.txt': '4', 'homes/y': '5' },
  },

  // VOLUME, USER, WORKDIR
  'ref: volumes in both forms': config('VOLUME ["/var/log/"]\nVOLUME /var/log /var/db\nVOLUME [\'/q\']'),
  'ref: user without a group': run(
    'RUN echo "u:x:5:9::/:/bin/sh" >>/etc/passwd\nUSER 1234\nRUN id >/tmp/x\nUSER u\nRUN id >/tmp/y\nUSER u:77\nRUN id >/tmp/z',
  ),
  'ref: user in groups': run(
    'RUN echo "u:x:5:9::/:/bin/sh" >>/etc/passwd; echo "g:x:88:u" >>/etc/group\nUSER u\nRUN id >/tmp/x\nUSER u:g\nRUN id >/tmp/y',
  ),
  'ref: user that is not there': run('USER nobody-here\nRUN true'),
  'ref: group that is not there': run('USER root:nobody-here\nRUN true'),
  'ref: workdirs on each other': run('WORKDIR /a\nWORKDIR b\nWORKDIR c\nRUN pwd >/x'),
  'ref: workdir with an unset variable': run('ENV DIRPATH=/path\nWORKDIR $DIRPATH/$DIRNAME\nRUN pwd >/x'),
  'ref: workdir without use is made': { dockerfile: 'FROM scratch\nWORKDIR /a/b\n' },
  'ref: workdir of the base': { dockerfile: 'FROM scratch AS a\nWORKDIR /a\nFROM a\nCOPY a.txt b/\n' },

  // ARG
  'ref: scope of an ARG': {
    dockerfile: scratch('USER ${username:-some_user}\nLABEL a=${username:-some_user}\nARG username\nUSER $username'),
    args: { username: 'what_user' },
  },
  'ref: ARG goes to stages on its stage': {
    dockerfile:
      'FROM scratch AS a\nARG S=1\nENV E=2\nCOPY a.txt /\nFROM a AS b\nLABEL s=x$S\nFROM scratch AS c\nLABEL s=x$S\nCOPY --from=b /a.txt /\nFROM b\nLABEL t=x$S\n',
  },
  'ref: ARG of another stage is not known': {
    dockerfile: 'FROM scratch AS a\nARG S=1\nCOPY a.txt /\nFROM scratch\nLABEL s=x$S\nCOPY --from=a /a.txt /\n',
  },
  'ref: a stage gives its ARGs to commands': { dockerfile: 'FROM base AS a\nARG S=1\nFROM a\nRUN echo "$S" >/x\n' },
  'ref: ENV after ARG wins': {
    dockerfile: base('ARG V\nENV V=v1.0.0\nRUN echo $V >/x\nLABEL v=$V'),
    args: { V: 'v2.0.1' },
  },
  'ref: ENV of an ARG with a default': {
    dockerfile: base('ARG V\nENV V=${V:-v1.0.0}\nRUN echo $V >/x'),
    args: { V: 'v2' },
  },
  'ref: ARG after ENV wins': run(
    'ENV A=1\nARG A=2\nRUN echo "$A" >/x; env | grep ^A= >/y\nLABEL l=$A\nENV B=$A\nWORKDIR /w$A\nEXPOSE 100$A\nCOPY --chown=$A a.txt /c$A',
  ),
  'ref: ARG after ENV, given': {
    dockerfile: base('ENV A=1\nARG A=2\nRUN echo "$A" >/x\nLABEL l=$A'),
    args: { A: '3' },
  },
  'ref: ARG without a value after ENV': run('ENV A=1\nARG A\nRUN echo "$A" >/x\nLABEL l=$A'),
  'ref: ARG and ENV in turns': run(
    'ARG A=1\nENV A=2\nLABEL a=$A\nARG A=3\nLABEL b=$A\nENV A=4\nLABEL c=$A\nRUN echo $A >/x',
  ),
  'ref: heredoc with two variables of one name': run('ENV A=1\nARG A=2\nCOPY <<EOF /x\nA=$A\nEOF'),
  'ref: ARG over the ENV of a base': {
    dockerfile: 'FROM scratch AS a\nENV A=1\nCOPY a.txt /\nFROM a\nARG A=2\nLABEL l=$A\n',
  },
  'ref: several ARGs in a line': {
    dockerfile: scratch('ARG A=1 B=$A C D="x y"\nLABEL a=$A b=x$B c=x$C d=$D'),
    args: { C: 'given' },
  },
  'ref: platform ARGs are not there without ARG': run(
    'RUN echo "[$TARGETPLATFORM][$BUILDOS]" >/x\nARG TARGETPLATFORM\nARG BUILDOS TARGETVARIANT\nRUN echo "[$TARGETPLATFORM][$BUILDOS][$TARGETVARIANT]" >/y',
  ),
  'ref: a platform ARG with a value': config('ARG TARGETOS=mine\nLABEL a=$TARGETOS'),
  'ref: proxies in both spellings': {
    dockerfile: base('RUN env | grep -i _proxy | sort >/x'),
    args: { HTTP_PROXY: 'http://a', no_proxy: 'b' },
  },
  'ref: a proxy by ENV and by argument': {
    dockerfile: base('ENV HTTP_PROXY=mine\nLABEL l=$HTTP_PROXY\nRUN env | grep -i http_proxy | sort >/x'),
    args: { HTTP_PROXY: 'given' },
  },
  'ref: a proxy is not expanded without ARG': {
    dockerfile: scratch('LABEL a=x$HTTP_PROXY\nARG HTTP_PROXY\nLABEL b=x$HTTP_PROXY'),
    args: { HTTP_PROXY: 'given' },
  },
  'ref: the name of the sandbox': {
    dockerfile: base('RUN hostname >/x'),
    args: { BUILDKIT_SANDBOX_HOSTNAME: 'other' },
  },
  'ref: the name of the sandbox as usual': run('RUN hostname >/x'),
  'ref: an ARG that only BuildKit knows': {
    dockerfile: base('ARG BUILDKIT_SANDBOX_HOSTNAME\nRUN echo "$BUILDKIT_SANDBOX_HOSTNAME" >/x'),
    args: { BUILDKIT_SANDBOX_HOSTNAME: 'other' },
  },
  'ref: an argument that no ARG takes': { dockerfile: scratch('LABEL a=x$NOBODY'), args: { NOBODY: 'given' } },

  // ONBUILD, STOPSIGNAL, HEALTHCHECK, SHELL
  'ref: triggers in their order, once': {
    dockerfile:
      'FROM base AS a\nONBUILD RUN echo 1 >>/x\nONBUILD RUN echo 2 >>/x\nFROM a AS b\nRUN echo 3 >>/x\nFROM b\nRUN echo 4 >>/x\n',
  },
  'ref: a trigger that copies from a stage of the build': {
    dockerfile:
      'FROM base AS build\nRUN echo app >/app\nFROM scratch AS a\nONBUILD COPY --from=build /app /app\nFROM a\n',
  },
  'ref: a trigger that mounts from a stage': {
    dockerfile:
      'FROM base AS build\nRUN echo app >/app\nFROM base AS a\nONBUILD RUN --mount=from=build,target=/m cat /m/app >/x\nFROM a\n',
  },
  'ref: a trigger that fails': { dockerfile: 'FROM base AS a\nONBUILD RUN false\nFROM a\n' },
  'ref: a trigger of a trigger': config('ONBUILD ONBUILD RUN x'),
  'ref: a trigger with FROM': config('ONBUILD FROM x'),
  'ref: a trigger with MAINTAINER': config('ONBUILD MAINTAINER x'),
  'ref: a trigger with ARG': {
    dockerfile: 'FROM scratch AS a\nONBUILD ARG A=1\nONBUILD LABEL l=$A\nFROM a\nLABEL m=$A\nCOPY a.txt /\n',
  },
  'ref: a trigger with nothing': config('ONBUILD'),
  'ref: a signal of real time': config('STOPSIGNAL SIGRTMIN+3'),
  'ref: a signal without SIG': config('STOPSIGNAL KILL'),
  'ref: a signal of the base': { dockerfile: 'FROM scratch AS a\nSTOPSIGNAL 9\nCOPY a.txt /\nFROM a\nLABEL a=b\n' },
  'ref: the last health check counts': config(
    'HEALTHCHECK CMD a\nHEALTHCHECK --interval=5m --timeout=3s --retries=2 --start-period=1s --start-interval=2s \\\n  CMD curl -f http://localhost/ || exit 1',
  ),
  'ref: no health check over that of the base': {
    dockerfile: 'FROM scratch AS a\nHEALTHCHECK CMD a\nCOPY a.txt /\nFROM a\nHEALTHCHECK NONE\n',
  },
  'ref: health check with a short interval': config('HEALTHCHECK --interval=0.5ms CMD a'),
  'ref: health check of an unknown kind': config('HEALTHCHECK RUN a'),
  'ref: health check in a shell of its own': config('SHELL ["/bin/ash", "-c"]\nHEALTHCHECK CMD a b'),
  'ref: a shell is for RUN, CMD and ENTRYPOINT': run(
    'SHELL ["/bin/sh", "-e", "-c"]\nRUN echo $- >/x\nCMD c\nENTRYPOINT e',
  ),
  'ref: shells after each other': run(
    'SHELL ["/bin/sh", "-xc"]\nRUN echo 1 >/x\nSHELL ["/bin/sh", "-c"]\nRUN echo 2 >>/x',
  ),
  'ref: a shell in shell form': config('SHELL /bin/sh -c'),

  // Here-documents
  'ref: heredoc with a program': run('RUN <<EOT sh\n  set -ex\n  echo 1 >/x\nEOT'),
  'ref: heredoc alone': run('RUN <<EOT\n  mkdir -p foo/bar\nEOT'),
  'ref: heredoc with an interpreter': run('RUN <<EOT\n#!/bin/awk -f\nBEGIN { print "hello world" >"/x" }\nEOT'),
  'ref: heredocs for two files': run(
    'RUN <<FILE1 cat > file1 && <<FILE2 cat > file2\nI am\nfirst\nFILE1\nI am\nsecond\nFILE2',
  ),
  'ref: heredoc into a name': run('WORKDIR /w\nCOPY <<EOF greeting.txt\nhello world\nEOF'),
  'ref: heredoc without tabs, expanded': run(
    'ARG FOO=bar\nCOPY <<-EOT /script.sh\n\t  echo "hello ${FOO}"\n\tEOT\nENTRYPOINT ash /script.sh',
  ),
  'ref: heredoc in quotes, not expanded': run('ARG FOO=bar\nCOPY <<-"EOT" /script.sh\n\techo "hello ${FOO}"\nEOT'),
  'ref: heredocs into a directory': run('COPY <<a <<"b" /d/\n1 $HOME\na\n2 $HOME\nb'),
  'ref: heredoc of a command reads variables at run time': run('ARG V=1\nRUN <<E\necho $V ${V} "$(echo 2)" >/x\nE'),
  'ref: heredoc in exec form is none': config('CMD ["<<E"]'),
  'ref: heredoc for CMD is none': config('CMD <<E\nRUN x\nE'),
  'ref: heredoc with a comment in it': run('RUN <<E\n# c\necho 1 >/x # d\n\necho 2 >>/x \\\n  3\nE'),
  'ref: heredoc by a descriptor': run('RUN cat <<E 3<<F >/x - /dev/fd/3\n1\nE\n2\nF'),
};
