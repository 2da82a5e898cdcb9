import { canonicalName, parseReference } from '../../oci/reference.ts';
import type { BuildOutputRequest } from '../../engine/builder/outputs/output.ts';
import type { BuildResult } from '../../engine/engine.ts';
import { ProgressStep } from './progress.ts';
import type { StatusLog } from './status-log.ts';

const EXPORTS: Readonly<Record<string, string>> = {
  image: 'image',
  registry: 'image',
  docker: 'docker image format',
  oci: 'oci image format',
  local: 'client directory',
  tar: 'client tarball',
};

/** What becomes of a build as lines of a client's terminal: a step for each output, in BuildKit's words. */
export class ExportProgress {
  readonly #steps: readonly { readonly output: BuildOutputRequest; readonly step: ProgressStep }[];

  /** @param key of the build, in front of its steps' digests */
  constructor(log: StatusLog, key: string, outputs: readonly BuildOutputRequest[]) {
    this.#steps = outputs.map((output, index) => {
      const name = `exporting to ${EXPORTS[output.type] ?? output.type}`;
      const step = new ProgressStep(log, `${key} export ${index}`, name);
      if (isImage(output)) step.part('exporting layers');
      return { output, step };
    });
  }

  /** Bytes that went to the client for an output. */
  sent(index: number, bytes: number): void {
    const one = this.#steps[index];
    if (one?.output.type === 'local') one.step.part('copying files', { current: bytes, done: true });
    else one?.step.part('sending tarball', { done: true });
  }

  done(result: BuildResult): void {
    const names = canonicalNames(
      result,
      this.#steps.map(({ output }) => output),
    );
    for (const { output, step } of this.#steps) {
      if (isImage(output)) this.#image(step, output, result, names);
      step.done();
    }
  }

  failed(error: unknown): void {
    for (const { step } of this.#steps) step.failed(error instanceof Error ? error.message : String(error));
  }

  #image(step: ProgressStep, output: BuildOutputRequest, result: BuildResult, names: readonly string[]): void {
    const { id, descriptor } = result;
    step.part('exporting layers', { done: true });
    if (descriptor) step.part(`exporting manifest ${descriptor.digest}`, { done: true });
    if (output.type === 'oci' || output.type === 'docker') {
      step.part(`exporting config ${id}`, { done: true });
      return;
    }
    const own = output.attributes['name']?.split(',').flatMap(canonical);
    const shown = own ? names.filter((name) => own.includes(name)) : names;
    if (output.type === 'image') step.part(`writing image ${id}`, { done: true });
    for (const name of shown) step.part(`naming to ${name}`, { done: true });
    if (!descriptor || (output.type !== 'registry' && output.attributes['push'] !== 'true')) return;
    for (const name of shown) step.part(`pushing manifest for ${name}@${descriptor.digest}`, { done: true });
  }
}

function isImage({ type }: BuildOutputRequest): boolean {
  return ['image', 'registry', 'oci', 'docker'].includes(type);
}

/** The names that images got, whole: `docker.io/library/app:1`; as BuildKit tells them, without a tag where none was given. */
export function canonicalNames({ names = [] }: BuildResult, outputs: readonly BuildOutputRequest[]): string[] {
  const asked = new Set(outputs.flatMap(({ attributes }) => (attributes['name'] ?? '').split(',')).flatMap(canonical));
  return names.flatMap(canonical).map((name) => {
    const short = name.replace(/:latest$/, '');
    return asked.has(short) && !asked.has(name) ? short : name;
  });
}

function canonical(name: string): string[] {
  try {
    return [canonicalName(parseReference(name))];
  } catch {
    return [];
  }
}
