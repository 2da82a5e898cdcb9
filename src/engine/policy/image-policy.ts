import type { KeyObject } from 'node:crypto';
import { EngineError } from '../../base/errors.ts';
import type { OperationOptions } from '../../base/operation.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { familiarName, type Reference } from '../../oci/reference.ts';
import { isSignedBy, type Signature } from '../../registry/signature/payload.ts';
import type { ImageSignatureStore } from '../../state/image-signatures.ts';
import type { ImageReference } from '../../state/images.ts';
import { isBelowPrefix, NO_POLICY, type Policy, type PolicyFile } from './policy-file.ts';
import { meantName } from './typos.ts';

/** Applies the policy: when an image is pulled, and again when it is run or built upon. */
export class ImagePolicy {
  readonly #file: PolicyFile | undefined;
  readonly #signatures: ImageSignatureStore;

  constructor(file: PolicyFile | undefined, signatures: ImageSignatureStore) {
    this.#file = file;
    this.#signatures = signatures;
  }

  /** Before anything is asked for. Throws `forbidden`. Says so when the name is probably a mistake. */
  checkPull(reference: Reference, onProgress: OperationOptions['onProgress']): void {
    const policy = this.#policy();
    const shown = familiarName(reference);
    const meant = policy.typos === 'off' ? undefined : meantName(reference);
    if (meant !== undefined && policy.typos === 'refuse') {
      throw this.#refused(policy, `${shown} is no official image: did you mean ${meant}?`);
    }
    if (meant !== undefined) {
      onProgress?.({ id: '', status: `WARNING: ${shown} is no official image. Did you mean ${meant}?` });
    }
    this.#checkOrigin(policy, reference.repository, shown);
    if (reference.digest === undefined && needsDigest(policy, reference.repository)) {
      throw this.#refused(policy, `${shown} must be named by its digest (${shown}@sha256:…); \`gantry lock\` finds it`);
    }
  }

  /** What to say behind "not found". */
  suggestion(reference: Reference): string | undefined {
    const meant = this.#policy().typos === 'off' ? undefined : meantName(reference);
    return meant === undefined ? undefined : `Did you mean ${meant}?`;
  }

  /** Whether an image of this repository must be signed. */
  needsSignature({ repository }: Pick<Reference, 'repository'>): boolean {
    return keysFor(this.#policy(), repository).length > 0;
  }

  /** Keeps those of `signatures` that the policy asks for; of one of `digests`. Throws `forbidden` when there is none. */
  keepSignatures(reference: Reference, digests: readonly Digest[], signatures: readonly Signature[]): void {
    const policy = this.#policy();
    for (const keys of keysFor(policy, reference.repository)) {
      let kept = false;
      for (const digest of digests) {
        for (const signature of signatures) {
          if (!isSignedBy(signature, digest, keys)) continue;
          this.#signatures.put({ digest, ...signature });
          kept = true;
        }
      }
      if (!kept) throw this.#unsigned(policy, familiarName(reference), signatures.length);
    }
  }

  /**
   * Before a container is made of an image, or another image on top of it. `names` are all it has; what was made on this
   * machine came from no registry and is not meant. Throws `forbidden`.
   */
  checkUse(
    asked: string,
    reference: Reference | undefined,
    { names, manifest }: { readonly names: readonly ImageReference[]; readonly manifest: Descriptor | undefined },
  ): void {
    const policy = this.#policy();
    if (policy === NO_POLICY) return;
    const origins = names.filter(({ target, reference: name }) => target !== undefined && name.includes('@'));
    if (origins.length === 0) return;
    let refusal: unknown;
    for (const { repository, target } of origins) {
      try {
        this.#checkOrigin(policy, repository, asked);
        for (const keys of keysFor(policy, repository)) {
          const digests = [target!.digest, ...(manifest ? [manifest.digest] : [])];
          const kept = digests.flatMap((digest) => this.#signatures.of(digest));
          if (!kept.some((one) => digests.some((digest) => isSignedBy(one, digest, keys))))
            throw this.#unsigned(policy, asked, kept.length);
        }
        // An id is as exact as a digest.
        if (reference && reference.digest === undefined && needsDigest(policy, repository)) {
          throw this.#refused(
            policy,
            `${asked} must be named by its digest: ${familiarName(reference)}@${target!.digest}`,
          );
        }
        return;
      } catch (error) {
        refusal = error;
      }
    }
    throw refusal;
  }

  #policy(): Policy {
    return this.#file?.read() ?? NO_POLICY;
  }

  #checkOrigin(policy: Policy, repository: string, shown: string): void {
    if (policy.registries === undefined || policy.registries.some((prefix) => isBelowPrefix(repository, prefix)))
      return;
    throw this.#refused(policy, `${shown} comes from none of the registries ${policy.registries.join(', ')}`);
  }

  #unsigned(policy: Policy, shown: string, found: number): EngineError {
    const words = found === 0 ? 'has no signature' : `has ${found} signatures, none of a key that is trusted for it`;
    return this.#refused(policy, `${shown} ${words}`);
  }

  #refused({ path }: Policy, words: string): EngineError {
    return new EngineError('forbidden', `refused by the image policy ${path}: ${words}`);
  }
}

/** The keys of every rule that is for the repository: each rule must be met. */
function keysFor(policy: Policy, repository: string): (readonly KeyObject[])[] {
  return policy.signatures.filter(({ images }) => isBelowPrefix(repository, images)).map(({ keys }) => keys);
}

function needsDigest({ requireDigest }: Policy, repository: string): boolean {
  return typeof requireDigest === 'boolean'
    ? requireDigest
    : requireDigest.some((prefix) => isBelowPrefix(repository, prefix));
}
