import { EngineError } from '../../base/errors.ts';

/** Annotations reach the runtime, and crun acts on its own (`run.oci.…`: handlers, raw mounts, hooks): those are not a client's to set. */
export function checkAnnotations(annotations: Readonly<Record<string, string>> | undefined): void {
  for (const name of Object.keys(annotations ?? {})) {
    if (name === '') {
      throw new EngineError(
        'invalid-argument',
        'invalid Annotations: the empty string is not permitted as an annotation key',
      );
    }
    if (name.startsWith('run.oci.')) {
      throw new EngineError('invalid-argument', `invalid Annotations: "${name}" is reserved for the runtime`);
    }
  }
}
