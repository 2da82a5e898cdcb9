import type { Digest } from '../../oci/digest.ts';

/** A step of a build: one instruction of one stage, or the image that a stage begins with. */
export interface BuildVertex {
  /** Unique in its build: `stage index.position`, position 0 for FROM; of several platforms with its own in front. */
  readonly id: string;
  /** `linux/arm64`, when the build is for several. */
  readonly platform?: string | undefined;
  /** `RUN npm install`, as written. */
  readonly text: string;
  /** The same on one line, with the values of variables. */
  readonly shown: string;
  readonly stage: { readonly index: number; readonly name: string | undefined };
  /** Of the stage's steps, from 0. */
  readonly position: number;
  /** Steps of the stage, FROM counted. */
  readonly total: number;
  /** Line of the Dockerfile, from 1. */
  readonly line: number;
}

export function vertexId(platform: string | undefined, stage: number, position: number): string {
  return `${platform === undefined ? '' : `${platform} `}${stage}.${position}`;
}

/** How a step got its result: its record was there, another build made it at the same time, or it was run. */
export type StepOrigin = 'cached' | 'shared' | 'run';

/** What happens in a build, in order for each vertex; vertices run side by side. Times are milliseconds since the epoch. */
export type BuildEvent =
  | { readonly type: 'started'; readonly vertex: BuildVertex; readonly time: number }
  | {
      readonly type: 'done';
      readonly vertex: BuildVertex;
      readonly time: number;
      readonly origin: StepOrigin;
      readonly key: Digest;
    }
  | { readonly type: 'failed'; readonly vertex: BuildVertex; readonly time: number; readonly message: string }
  | { readonly type: 'output'; readonly vertex: BuildVertex; readonly time: number; readonly text: string }
  | { readonly type: 'warning'; readonly rule: string; readonly message: string; readonly line: number };
