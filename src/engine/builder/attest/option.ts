import { EngineError } from '../../../base/errors.ts';

/** What is to be said about an image beside it. */
export interface WantedAttestations {
  readonly sbom: boolean;
  readonly provenance: ProvenanceOption | undefined;
}

export interface ProvenanceOption {
  /** `max` tells the arguments and the Dockerfile too. */
  readonly mode: 'min' | 'max';
  readonly version: 'v0.2' | 'v1';
  readonly builderId: string;
}

/** `type=sbom`, `type=provenance,mode=max` (`--attest`); a later one of a type replaces the earlier. Throws `invalid-argument`, `unimplemented`. */
export function readAttestations(texts: readonly string[]): WantedAttestations {
  let wanted: WantedAttestations = { sbom: false, provenance: undefined };
  for (const text of texts) {
    const fields = new Map(
      text.split(',').map((field): [string, string] => {
        const cut = field.indexOf('=');
        return cut < 0 ? [field.toLowerCase(), 'true'] : [field.slice(0, cut).toLowerCase(), field.slice(cut + 1)];
      }),
    );
    const type = fields.get('type');
    const disabled = /^(1|true)$/i.test(fields.get('disabled') ?? 'false');
    if (type === 'sbom') {
      allow(fields, ['type', 'disabled']);
      wanted = { ...wanted, sbom: !disabled };
    } else if (type === 'provenance') {
      allow(fields, ['type', 'disabled', 'mode', 'version', 'builder-id', 'inline-only', 'reproducible']);
      wanted = { ...wanted, provenance: disabled ? undefined : readProvenance(fields) };
    } else {
      throw new EngineError(
        'invalid-argument',
        `unknown attestation type ${JSON.stringify(type ?? text)}: use sbom or provenance`,
      );
    }
  }
  return wanted;
}

function readProvenance(fields: ReadonlyMap<string, string>): ProvenanceOption {
  const mode = fields.get('mode') ?? 'min';
  const version = fields.get('version') ?? 'v1';
  if (mode !== 'min' && mode !== 'max')
    throw new EngineError('invalid-argument', `invalid provenance mode ${JSON.stringify(mode)}: use min or max`);
  if (version !== 'v0.2' && version !== 'v1')
    throw new EngineError('invalid-argument', `invalid provenance version ${JSON.stringify(version)}: use v0.2 or v1`);
  return { mode, version, builderId: fields.get('builder-id') ?? '' };
}

function allow(fields: ReadonlyMap<string, string>, known: readonly string[]): void {
  for (const name of fields.keys()) {
    if (known.includes(name)) continue;
    throw name === 'generator'
      ? new EngineError(
          'unimplemented',
          'the engine lists packages itself: a generator image is not supported, leave generator= out',
        )
      : new EngineError(
          'invalid-argument',
          `unknown attestation option ${JSON.stringify(name)}: use ${known.join(', ')}`,
        );
  }
}
