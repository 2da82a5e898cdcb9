import { COPY, compressed, context, longPax, tar } from './context.ts';

/** One `POST /build` as clients of Docker's classic builder send it. */
export interface ClassicCase {
  /** Behind the `?`. `SERVER` stands for a web server of this run's own, `own0` for a name of its own. */
  readonly query: string;
  readonly body?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

const RUN = 'FROM busybox\nRUN echo hello\n';
const json = (value: unknown): string => encodeURIComponent(JSON.stringify(value));
const copy = (query: string, headers?: Readonly<Record<string, string>>): ClassicCase => ({
  query,
  body: context(COPY),
  ...(headers && { headers }),
});
const run = (query: string): ClassicCase => ({ query: `${query}&nocache=1`, body: context(RUN) });
const file = (dockerfile: string, query = ''): ClassicCase => ({ query, body: context(dockerfile) });
const remote = (address: string, query = ''): ClassicCase => ({
  query: `remote=${encodeURIComponent(address)}${query}`,
});
const body = (bytes: Buffer, headers?: Readonly<Record<string, string>>): ClassicCase => ({
  query: '',
  body: bytes,
  ...(headers && { headers }),
});

export const CASES: Readonly<Record<string, ClassicCase>> = {
  // Parameters.
  'nothing asked': copy(''),
  'all that docker-py sends': copy(
    'remote=&q=False&nocache=False&rm=False&forcerm=False&pull=False&dockerfile=Dockerfile&t=own0%3Apy',
  ),
  'all that dockerode sends': copy('t=own0%3Anode&buildargs=%7B%7D&labels=%7B%7D'),
  'all that docker CLI sends': copy(
    'buildargs=%7B%7D&cachefrom=%5B%5D&cgroupparent=&cpuperiod=0&cpuquota=0&cpusetcpus=&cpusetmems=&cpushares=0&dockerfile=Dockerfile&labels=%7B%7D&memory=0&memswap=0&networkmode=default&rm=1&shmsize=0&target=&ulimits=null&version=1',
  ),
  'a flag that is a word': copy('nocache=x&rm=maybe&forcerm=None'),
  'quiet by a word': copy('q=yes'),
  'quiet that fails': file('FROM scratch\nCOPY nosuch /\n', 'q=1'),
  'shmsize is no number': copy('shmsize=abc'),
  'shmsize below zero': run('shmsize=-1'),
  'ulimits are no JSON': copy('ulimits=nofile'),
  'ulimits are an object': copy(`ulimits=${json({})}`),
  'ulimits are null': copy('ulimits=null'),
  'a ulimit that nobody knows': run(`ulimits=${json([{ Name: 'nosuch', Soft: 1, Hard: 1 }])}`),
  'a ulimit with soft above hard': run(`ulimits=${json([{ Name: 'nofile', Soft: 10, Hard: 5 }])}`),
  'cachefrom is no JSON': copy('cachefrom=nosuch'),
  'cachefrom is an object': copy(`cachefrom=${json({})}`),
  'cachefrom names what is not there': copy(`cachefrom=${json(['own0/nosuch:1'])}`),
  'buildargs are no JSON': copy('buildargs=A'),
  'buildargs are a list': copy(`buildargs=${json(['A=1'])}`),
  'a build argument is a number': copy(`buildargs=${json({ A: 1 })}`),
  'a build argument is null': copy(`buildargs=${json({ A: null })}`),
  'a build argument that nobody takes': copy(`buildargs=${json({ A: '1' })}`),
  'labels are no JSON': copy('labels=x'),
  'labels are a list': copy(`labels=${json(['x'])}`),
  'a host that is none': run('extrahosts=bad'),
  'a host with an address that is none': run('extrahosts=x%3Anotanip'),
  'hosts as JSON': run(`extrahosts=${json(['a:1.2.3.4'])}`),
  'a network that is not there': run('networkmode=nosuchnet'),
  'the network of a container that is not there': run('networkmode=container%3Anosuch'),
  'a network that is not there, and nothing runs': copy('networkmode=nosuchnet'),
  'a tag in capitals': copy('t=UPPER'),
  'a tag of three parts': copy('t=a%3Ab%3Ac'),
  'a tag with a digest': copy(`t=own0%40sha256%3A${'0'.repeat(64)}`),
  'an empty tag': copy('t='),
  'two tags': copy('t=own0%3A1&t=own0%3A2'),
  'a stage that is not there': copy('target=nosuch'),
  'a platform that is none': copy('platform=a%2Fb%2Fc%2Fd'),
  'another platform': copy('platform=linux%2Farm64'),
  'an isolation of Windows': copy('isolation=hyperv'),
  'memory is no number': copy('memory=abc'),
  'memory is too little': run('memory=1'),
  'processors that are not there': run('cpusetcpus=4096'),
  'a period that is too short': run('cpuperiod=1'),
  'version is no version': copy('version=x'),
  'version 3': copy('version=3'),
  'a session with version 1': copy('version=1&session=abc'),
  'logins that are no base64': copy('', { 'X-Registry-Config': '{' }),
  'logins that are no JSON': copy('', { 'X-Registry-Config': Buffer.from('nonsense').toString('base64') }),
  logins: copy('', {
    'X-Registry-Config': Buffer.from('{"localhost:1":{"username":"u","password":"p"}}').toString('base64'),
  }),

  // Where the Dockerfile is.
  'Dockerfile above the context': copy('dockerfile=..%2Fx'),
  'Dockerfile of the host': copy('dockerfile=%2Fetc%2Fpasswd'),
  'Dockerfile by an absolute path': copy('dockerfile=%2FDockerfile'),
  'Dockerfile that is not there': copy('dockerfile=nosuch'),
  'Dockerfile in a directory': {
    query: 'dockerfile=d%2Fx',
    body: tar({ name: 'd/x', content: COPY }, { name: 'file' }),
  },
  'Dockerfile is a directory': { query: '', body: tar({ name: 'Dockerfile', type: 'directory' }) },
  'Dockerfile is a link out': {
    query: '',
    body: tar({ name: 'Dockerfile', type: 'symlink', linkName: '/etc/passwd' }),
  },
  'dockerfile in small letters': { query: '', body: tar({ name: 'dockerfile', content: COPY }, { name: 'file' }) },
  'Dockerfile is left out by .dockerignore': {
    query: '',
    body: context(COPY, { name: '.dockerignore', content: 'Dockerfile\n' }),
  },
  'file is left out by .dockerignore': { query: '', body: context(COPY, { name: '.dockerignore', content: 'file\n' }) },

  // Bodies.
  'no body': { query: '' },
  'a body of nothing': body(Buffer.alloc(0)),
  'a body of zeros': body(Buffer.alloc(1024)),
  'a body that is no tar': body(Buffer.from('no tar at all')),
  'a body without a Dockerfile': body(tar({ name: 'file' })),
  gzip: body(compressed.gzip(context(COPY))),
  'gzip said to be something else': body(compressed.gzip(context(COPY)), { 'Content-Type': 'text/plain' }),
  bzip2: body(compressed.bzip2(context(COPY))),
  xz: body(compressed.xz(context(COPY))),
  zstd: body(compressed.zstd(context(COPY))),
  'gzip that breaks off': body(compressed.gzip(context(COPY)).subarray(0, 60)),
  'a tar that breaks off in a file': body(
    context(COPY, { name: 'big', content: Buffer.alloc(5000) }).subarray(0, 3000),
  ),
  'a tar that breaks off in a header': body(context(COPY).subarray(0, 1100)),
  'a tar without an end': body(context(COPY).subarray(0, -1024)),
  'a header that is damaged': body(Buffer.concat([Buffer.alloc(512, 0x41), context(COPY)])),
  'a PAX header of 64 KiB': body(longPax(64 << 10)),
  'a PAX header of 2 MiB': body(longPax(2 << 20)),
  'an entry above the context': body(context(COPY, { name: '../above', content: 'x' })),
  'an entry by an absolute path': body(context('FROM scratch\nCOPY abs /\n', { name: '/abs', content: 'x' })),
  'a link that leads out': body(
    context('FROM scratch\nCOPY link /x\n', { name: 'link', type: 'symlink', linkName: '/etc/hostname' }),
  ),
  'a hard link to what is not there': body(context(COPY, { name: 'h', type: 'hard-link', linkName: 'nosuch' })),
  'a name twice': body(context('FROM scratch\nCOPY file /\n', { name: 'file', content: 'second' })),

  // Contexts from elsewhere.
  'a Dockerfile of the web': remote('SERVER/Dockerfile'),
  'an archive of the web': remote('SERVER/context.tar.gz'),
  'an archive of the web with its Dockerfile elsewhere': remote('SERVER/context.tar.gz', '&dockerfile=other'),
  'an answer that is not there': remote('SERVER/nosuch'),
  'a server that is not there': remote('http://127.0.0.1:1/x'),
  'a scheme that nobody knows': remote('ftp://127.0.0.1/x'),
  'an address that is none': remote('nonsense'),
  'a repository': remote('SERVER/repository.git'),
  'a directory of a repository': remote('SERVER/repository.git#main:sub'),
  'a branch that is not there': remote('SERVER/repository.git#nosuch'),
  'a repository that is not there': remote('SERVER/nosuch.git'),
  'a remote beside a body': { ...remote('SERVER/Dockerfile'), body: context('FROM scratch\nCOPY nosuch /\n') },

  // Dockerfiles.
  'an empty Dockerfile': file(''),
  'a Dockerfile of comments': file('# nothing\n\n'),
  'no FROM': file('RUN x\n'),
  'FROM without a name': file('FROM\n'),
  'FROM in capitals': file('FROM BusyBox\n'),
  'nothing but scratch': file('FROM scratch\n'),
  'an instruction that nobody knows': file('FROM scratch\nFOO bar\n'),
  'a source that is not there': file('FROM scratch\nCOPY nosuch /\n'),
  'a source above the context': file('FROM scratch\nCOPY ../x /\n'),
  'a stage to copy from that is not there': file('FROM scratch\nCOPY --from=0 x /\n'),
  'a flag that nobody knows': file('FROM scratch\nCOPY --nosuch=1 file /\n'),
  'a command that fails': file('FROM busybox\nRUN exit 3\n'),
  'a command that is not there': file('FROM busybox\nRUN ["/nosuch"]\n'),
  'a port that is none': file('FROM scratch\nEXPOSE 99999999\n'),
  'a signal that is none': file('FROM scratch\nSTOPSIGNAL NOSUCH\n'),
  'ENV without a value': file('FROM scratch\nENV A\n'),
  'ONBUILD of ONBUILD': file('FROM scratch\nONBUILD ONBUILD COPY x /\n'),
  MAINTAINER: file('FROM scratch\nMAINTAINER somebody\nLABEL a=b\n'),
};
