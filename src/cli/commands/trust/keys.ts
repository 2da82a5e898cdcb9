import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { readSecret } from '../../terminal/secret.ts';

/** Where the password of a key is read from, before anybody is asked for it. */
const PASSWORD = 'GANTRY_TRUST_PASSWORD';

export const generate = command({
  usage: '[OPTIONS] NAME',
  description: `Generate a key to sign images with: NAME.key, encrypted with a password, and NAME.pub.
The password is read from ${PASSWORD}, or asked for.`,
  examples: `gantry trust keygen team
gantry trust sign --key team.key registry.lan/team/app:1
gantry trust verify --key team.pub registry.lan/team/app:1`,
  flags: {
    dir: string('Directory to generate the key in, defaults to current directory', { complete: 'file' }),
    'no-password': bool('Write the private key without encrypting it'),
  },
  args: { min: 1, max: 1 },
  async run(cli, { flags, args }) {
    const name = args[0]!;
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
      throw new CommandError(`key name ${JSON.stringify(name)} must be letters, digits, dots, dashes or underscores`);
    const [privateFile, publicFile] = ['key', 'pub'].map((end) => join(flags.dir || '.', `${name}.${end}`));
    for (const file of [privateFile!, publicFile!])
      if (fs.existsSync(file)) throw new CommandError(`${file} exists: remove it or choose another name`);
    const password = flags['no-password'] ? undefined : await newPassword(cli);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const pem = privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      ...(password !== undefined && { cipher: 'aes-256-cbc', passphrase: password }),
    });
    fs.writeFileSync(privateFile!, pem, { mode: 0o600, flag: 'wx' });
    fs.writeFileSync(publicFile!, publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644, flag: 'wx' });
    cli.print(`Private key written to ${privateFile}`);
    cli.print(`Public key written to ${publicFile}`);
    return 0;
  },
});

async function newPassword(cli: Cli): Promise<string> {
  const given = cli.env[PASSWORD];
  if (given !== undefined && given !== '') return given;
  if (!cli.io.stdinIsTTY)
    throw new CommandError(`a password for the key is needed: set ${PASSWORD}, or use --no-password`);
  const password = await readSecret(cli, 'Password for the private key: ');
  if (password === '') throw new CommandError('the password is empty: use --no-password for a key without one');
  if ((await readSecret(cli, 'Again: ')) !== password) throw new CommandError('the passwords differ');
  return password;
}

/** A private key of a file; its password is asked for where it has one. */
export async function readPrivateKey(cli: Cli, file: string): Promise<KeyObject> {
  const pem = readKeyFile(file);
  if (/ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY/.test(pem)) {
    throw new CommandError(
      `${file} is in a form that only cosign reads: make a key with \`gantry trust keygen\` (docs/supply-chain.md says how cosign takes it over)`,
    );
  }
  const isEncrypted = /ENCRYPTED/.test(pem);
  let passphrase = cli.env[PASSWORD] ?? '';
  if (isEncrypted && passphrase === '') {
    if (!cli.io.stdinIsTTY) throw new CommandError(`${file} is encrypted: set ${PASSWORD} to its password`);
    passphrase = await readSecret(cli, `Password for ${file}: `);
  }
  try {
    return createPrivateKey({ key: pem, ...(isEncrypted && { passphrase }) });
  } catch (error) {
    const words = isEncrypted ? 'the password is wrong, or it is no key' : (error as Error).message;
    throw new CommandError(`cannot read the private key ${file}: ${words}`, 1, { cause: error });
  }
}

export function readKeyFile(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`cannot read the key ${file}: ${(error as Error).message}`, 1, { cause: error });
  }
}
