import { TaskHost } from './task-host.ts';

/**
 * An engine to be killed: starts a container in the task host given by the environment, says on stdout where it is, and
 * stays. Arguments: the id, and JSON of what to run and how.
 */
const host = new TaskHost();
const [id, json] = process.argv.slice(2);
const { args, input, ...change } = JSON.parse(json!) as { args: string[]; input?: string };
const runner = host.runner();
process.stdout.write('starting\n');
const task = await runner.start(host.request(id!, args, change));
if (input !== undefined) await task.write(Buffer.from(input));
process.stdout.write(`${JSON.stringify({ pid: task.pid, pidStartTime: task.pidStartTime })}\n`);
setInterval(() => undefined, 1000);
