import type { FilePlaces } from './file-places.ts';
import type { Solve } from './solve.ts';
import type { StepResults } from './step-results.ts';

/** What instructions work with that change the files of a stage. */
export abstract class FileInstructions {
  protected readonly solve: Solve;
  protected readonly places: FilePlaces;
  protected readonly results: StepResults;

  constructor(solve: Solve, places: FilePlaces, results: StepResults) {
    this.solve = solve;
    this.places = places;
    this.results = results;
  }
}
