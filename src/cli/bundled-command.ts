/** The command as a snapshot is made of it (`snapshot/main.ts`): an entry of the bundle beside `main.ts`. */
export { runProgram } from './program.ts';
export { runProcess } from './run-process.ts';
