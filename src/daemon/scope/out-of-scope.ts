import { EngineError } from '../../base/errors.ts';

/** What is there and is not the scope's: in the words for what is not there, so that nobody learns of it. */
export class OutOfScope extends EngineError {}
