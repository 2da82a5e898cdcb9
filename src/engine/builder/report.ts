import type { BuildReportDocument } from '../../api/gantry.ts';
import { chainIds } from '../../oci/digest.ts';
import type { Snapshotter } from '../../snapshot/snapshotter.ts';
import { type BuildEvent, vertexId } from './build-event.ts';
import type { SolvedBuild } from './solved-build.ts';

/** What a build did, step by step: for its graph and the sizes of its layers. */
export class BuildReport {
  readonly #started = new Map<string, number>();
  readonly #took = new Map<string, number>();

  add(event: BuildEvent): void {
    if (event.type === 'started') this.#started.set(event.vertex.id, event.time);
    if (event.type === 'done')
      this.#took.set(event.vertex.id, event.time - (this.#started.get(event.vertex.id) ?? event.time));
  }

  document(
    { plan, steps, stages, platform, platformName }: SolvedBuild,
    snapshotter: Pick<Snapshotter, 'stat'>,
  ): BuildReportDocument {
    const found = new Map(steps.map((step) => [step.vertex.id, step]));
    const total = (index: number): number =>
      chainIds(stages.get(index)?.diffIds ?? []).reduce(
        (sum, chain) => sum + (snapshotter.stat(chain)?.layer?.size ?? 0),
        0,
      );
    const own = (index: number): number =>
      steps
        .filter(({ vertex }) => vertex.stage.index === index)
        .reduce((sum, { record }) => sum + (record.layer?.size ?? 0), 0);
    return {
      Platform: platform,
      Stages: plan.stages.map(({ index, stage, base }) => ({
        Index: index,
        Name: stage.name ?? '',
        Text: stage.original,
        Base:
          base.kind === 'stage' ? { Stage: base.index } : { Image: base.kind === 'image' ? base.reference : 'scratch' },
        BaseSize: Math.max(0, total(index) - own(index)),
        Key: stages.get(index)?.key ?? '',
        Steps: stage.instructions.map((instruction, at) => {
          const id = vertexId(platformName, index, at + 1);
          const step = found.get(id);
          const from = instruction.kind === 'COPY' ? instruction.from : undefined;
          return {
            Text: instruction.original,
            Line: instruction.range.start,
            Origin: step?.origin ?? '',
            Key: step?.record.key ?? '',
            Size: step?.record.layer?.size ?? 0,
            HasLayer: step?.record.layer !== undefined,
            Milliseconds: this.#took.get(id) ?? 0,
            From: [
              ...(from === undefined ? [] : [from]),
              ...(instruction.kind === 'RUN'
                ? instruction.mounts.flatMap((mount) => /(?:^|,)from=([^,]+)/.exec(mount)?.[1] ?? [])
                : []),
            ],
          };
        }),
      })),
    };
  }
}
