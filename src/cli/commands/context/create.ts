import fs from 'node:fs';
import { parseEndpoint } from '../../../client/endpoint.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { checkName, type ContextDocument, ContextStore, DEFAULT_CONTEXT } from '../../contexts.ts';
import { resolveTarget } from '../../engine-client.ts';
import { string } from '../../flag.ts';
import { cutPair, parseCsv } from '../../options/csv.ts';

const DESCRIPTION = `Endpoint configuration (--docker):

NAME                DESCRIPTION
from                Copy named context's Docker endpoint configuration
host                Docker endpoint on which to connect
ca                  Trust certs signed only by this CA
cert                Path to TLS certificate file
key                 Path to TLS key file
skip-tls-verify     Skip TLS certificate validation`;

export const create = command({
  usage: '[OPTIONS] CONTEXT',
  description: `Create a context\n\n${DESCRIPTION}`,
  examples: `# An engine on another machine, through ssh
gantry context create server --docker host=ssh://root@server

# With TLS
gantry context create server --docker "host=tcp://server:2376,ca=~/ca.pem,cert=~/cert.pem,key=~/key.pem"`,
  flags: {
    description: string('Description of the context'),
    docker: string('set the docker endpoint', { kind: 'stringToString', defaultText: '[]' }),
    from: string('create context from a named context', { complete: 'context' }),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const name = args[0]!;
    checkName(name);
    const store = new ContextStore(cli.configDirectory);
    if (store.find(name)) throw new CommandError(`context "${name}" already exists`);
    const { endpoint, tls } = readEndpoint(cli, store, flags.docker, flags.from);
    store.write(
      {
        Name: name,
        Metadata: flags.description === '' ? {} : { Description: flags.description },
        Endpoints: { docker: endpoint },
      },
      tls,
    );
    cli.print(name);
    cli.warn(`Successfully created context "${name}"`);
    return 0;
  },
});

export const update = command({
  usage: '[OPTIONS] CONTEXT',
  description: `Update a context\n\n${DESCRIPTION}`,
  flags: {
    description: string('Description of the context'),
    docker: string('set the docker endpoint', { kind: 'stringToString', defaultText: '[]' }),
  },
  args: { min: 1, max: 1 },
  complete: 'context',
  async run(cli, { flags, given, args }) {
    const store = new ContextStore(cli.configDirectory);
    const document = store.get(args[0]!);
    const { endpoint, tls } =
      flags.docker === ''
        ? { endpoint: document.Endpoints.docker, tls: {} }
        : readEndpoint(cli, store, flags.docker, '');
    store.write(
      {
        ...document,
        Metadata: given.has('description')
          ? { ...document.Metadata, Description: flags.description }
          : document.Metadata,
        Endpoints: { ...document.Endpoints, ...(endpoint ? { docker: endpoint } : {}) },
      },
      tls,
    );
    cli.print(args[0]!);
    cli.warn(`Successfully updated context "${args[0]}"`);
    return 0;
  },
});

type TlsFiles = { 'ca.pem'?: string; 'cert.pem'?: string; 'key.pem'?: string };

function readEndpoint(
  cli: Cli,
  store: ContextStore,
  docker: string,
  from: string,
): { endpoint: NonNullable<ContextDocument['Endpoints']['docker']>; tls: TlsFiles } {
  const settings = new Map<string, string>();
  for (const field of docker === '' ? [] : parseCsv(docker)) {
    const pair = cutPair(field);
    if (!pair)
      throw new CommandError(
        `invalid argument ${JSON.stringify(docker)} for "--docker" flag: ${field} must be formatted as key=value`,
      );
    if (!['from', 'host', 'ca', 'cert', 'key', 'skip-tls-verify'].includes(pair[0]))
      throw new CommandError(`unrecognized config key: ${pair[0]}`);
    settings.set(pair[0], pair[1]);
  }
  const source = settings.get('from') ?? from;
  if (source !== '' && settings.get('host') === undefined) {
    if (source === DEFAULT_CONTEXT)
      return { endpoint: { Host: resolveTarget(cli).host, SkipTLSVerify: false }, tls: {} };
    const document = store.get(source);
    const material = store.tls(document);
    return {
      endpoint: { ...document.Endpoints.docker },
      tls: {
        ...(material?.ca === undefined ? {} : { 'ca.pem': material.ca }),
        ...(material?.cert === undefined ? {} : { 'cert.pem': material.cert }),
        ...(material?.key === undefined ? {} : { 'key.pem': material.key }),
      },
    };
  }
  const host = settings.get('host') ?? '';
  if (host === '') throw new CommandError('docker endpoint configuration is required: --docker host=HOST');
  parseEndpoint(host);
  const file = (key: string): string | undefined => {
    const path = settings.get(key);
    if (path === undefined || path === '') return undefined;
    try {
      return fs.readFileSync(path.replace(/^~(?=\/)/, cli.env['HOME'] ?? '~'), 'utf8');
    } catch (error) {
      throw new CommandError(`unable to create docker endpoint config: ${(error as Error).message}`, 1, {
        cause: error,
      });
    }
  };
  const [ca, cert, key] = [file('ca'), file('cert'), file('key')];
  return {
    endpoint: {
      Host: host,
      SkipTLSVerify: ['1', 't', 'true', 'TRUE', 'True'].includes(settings.get('skip-tls-verify') ?? ''),
    },
    tls: {
      ...(ca === undefined ? {} : { 'ca.pem': ca }),
      ...(cert === undefined ? {} : { 'cert.pem': cert }),
      ...(key === undefined ? {} : { 'key.pem': key }),
    },
  };
}
