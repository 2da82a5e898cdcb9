import { isSignedBy, readPublicKey, type Signature, signedImage } from '../../../registry/signature/payload.ts';
import { readSignatures } from '../../../registry/signature/storage.ts';
import type { Digest } from '../../../oci/digest.ts';
import type { Cli } from '../../cli.ts';
import { command, CommandError } from '../../command.ts';
import { bool, list } from '../../flag.ts';
import { namedReference, Remote } from '../../remote.ts';
import { readKeyFile } from './keys.ts';

export const verify = command({
  usage: '[OPTIONS] IMAGE',
  description: `Verify that an image in a registry is signed with a key.
Prints what was signed, and fails when no signature is good.`,
  flags: {
    insecure: bool('Allow communication with an insecure registry'),
    key: list('Public key in PEM; one of several is enough'),
  },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    if (flags.key.length === 0) throw new CommandError('name the public key: --key FILE');
    const keys = flags.key.map((file) => readPublicKey(readKeyFile(file)));
    const { digest, signatures } = await signaturesOf(cli, args[0]!, flags.insecure);
    const good = signatures.filter((signature) => isSignedBy(signature, digest, keys));
    if (good.length === 0) {
      const words = signatures.length === 0 ? 'it has no signature' : `it has ${signatures.length}, none of these keys`;
      throw new CommandError(`no matching signatures for ${args[0]} (${digest}): ${words}`);
    }
    // The same said in two forms is said once.
    const claims = new Map(
      good.map(({ payload }) => claimOf(args[0]!, digest, payload)).map((claim) => [JSON.stringify(claim), claim]),
    );
    cli.print(JSON.stringify([...claims.values()], null, 4));
    return 0;
  },
});

/** What was signed, as cosign prints it; a bundle does not say of which repository. */
function claimOf(name: string, digest: Digest, payload: Buffer): unknown {
  const { repository, annotations } = signedImage(payload)!;
  return {
    critical: {
      identity: { 'docker-reference': repository ?? namedReference(name).repository },
      image: { 'docker-manifest-digest': digest },
      type: 'cosign container image signature',
    },
    optional: Object.keys(annotations).length > 0 ? annotations : null,
  };
}

export const inspect = command({
  usage: '[OPTIONS] IMAGE',
  description: 'Show the signatures of an image in a registry. Nothing is verified: see `gantry trust verify`.',
  flags: { insecure: bool('Allow communication with an insecure registry') },
  args: { min: 1, max: 1 },
  complete: 'image',
  async run(cli, { flags, args }) {
    const { digest, signatures } = await signaturesOf(cli, args[0]!, flags.insecure);
    const shown = signatures.map(({ payload, signature }) => ({
      Digest: signedImage(payload)?.digests[0] ?? null,
      SaysImage: signedImage(payload)?.digests.includes(digest) ?? false,
      Payload: payload.toString('utf8'),
      Signature: signature,
    }));
    cli.print(JSON.stringify([{ Name: args[0], Digest: digest, Signatures: shown }], null, 4));
    return 0;
  },
});

async function signaturesOf(
  cli: Cli,
  name: string,
  insecure: boolean,
): Promise<{ digest: Digest; signatures: Signature[] }> {
  const reference = namedReference(name);
  using remote = new Remote(cli, { insecure: insecure ? [name] : [] });
  const { descriptor, repository } = await remote.manifest(reference);
  return { digest: descriptor.digest, signatures: await readSignatures(repository, descriptor.digest) };
}
