import type { ExecSecret, SecretReference } from '../../api/secret.ts';
import { cutPair, parseCsv } from './csv.ts';

/** `--secret NAME[,target=PATH][,uid=N][,gid=N][,mode=0400]` of a container. Throws an Error. */
export function parseSecret(text: string): SecretReference {
  const { name, options } = fieldsOf(text, ['target', 'uid', 'gid', 'mode', 'type']);
  const type = options.get('type') ?? 'mount';
  if (type !== 'mount')
    throw new Error(
      `type=${type} is not supported: the environment of a container can be read by everybody who can inspect it; the secret is the file /run/secrets/${name}`,
    );
  const file = {
    ...(options.has('target') && { Name: options.get('target')! }),
    ...owners(options),
  };
  return { SecretName: name, ...(Object.keys(file).length > 0 && { File: file }) };
}

/** `--secret NAME[,env=VARIABLE][,uid=N][,gid=N][,mode=0400]` of an exec. Throws an Error. */
export function parseExecSecret(text: string): ExecSecret {
  const { name, options } = fieldsOf(text, ['env', 'target', 'uid', 'gid', 'mode']);
  if (options.has('target'))
    throw new Error(
      `a file ${options.get('target')} would be seen by every process of the container: an exec is given the secret as an open file, whose path is in a variable (env=VARIABLE)`,
    );
  return { SecretName: name, ...(options.has('env') && { Env: options.get('env')! }), ...owners(options) };
}

function fieldsOf(text: string, known: readonly string[]): { name: string; options: Map<string, string> } {
  const options = new Map<string, string>();
  let name = '';
  for (const field of parseCsv(text)) {
    const [key, value] = cutPair(field) ?? ['source', field];
    const word = key.trim().toLowerCase();
    if (['source', 'src', 'id'].includes(word)) {
      if (name !== '') throw new Error(`two secrets in one: ${name}, ${value}`);
      name = value.trim();
    } else if (known.includes(word)) options.set(word, value.trim());
    else throw new Error(`unexpected key '${key}' in '${field}': known are source, ${known.join(', ')}`);
  }
  if (name === '') throw new Error('the name of the secret is missing');
  return { name, options };
}

function owners(options: ReadonlyMap<string, string>): { UID?: string; GID?: string; Mode?: number } {
  for (const key of ['uid', 'gid']) {
    const id = options.get(key);
    if (id !== undefined && !/^\d+$/.test(id)) throw new Error(`${key} must be a number, not ${JSON.stringify(id)}`);
  }
  const mode = options.get('mode');
  if (mode !== undefined && !/^0?[0-7]{1,3}$/.test(mode))
    throw new Error(`mode must be permission bits in octal, not ${JSON.stringify(mode)}`);
  return {
    ...(options.has('uid') && { UID: options.get('uid')! }),
    ...(options.has('gid') && { GID: options.get('gid')! }),
    ...(mode !== undefined && { Mode: Number.parseInt(mode, 8) }),
  };
}
