/** A lab: a Markdown document whose shell blocks are run, one after the other, in a folder of their own. */
export interface Lab {
  /** `01` of `01-first-container.md`. */
  readonly number: string;
  /** `first-container` */
  readonly name: string;
  readonly title: string;
  /** Images that it pulls, from Docker Hub or the lab hub. */
  readonly images: readonly string[];
  readonly steps: readonly LabStep[];
}

export type LabStep =
  | { readonly kind: 'heading'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  /** A drawing, printed as it is. */
  | { readonly kind: 'picture'; readonly text: string }
  | { readonly kind: 'file'; readonly path: string; readonly content: string }
  | {
      readonly kind: 'run';
      readonly script: string;
      /** What its output must match: a lab that says something else than what happens is wrong. */
      readonly expect: readonly RegExp[];
      /** The exit code that it must have. */
      readonly exit: number;
      /** Run at the end also when a step before has failed. */
      readonly cleanup: boolean;
    };

/**
 * Reads a lab. Blocks: `sh` is run; `sh cleanup` too, whatever happened; anything with `file=PATH` is written; the others
 * are shown. Behind a block that is run, comments say what must come of it: `<!-- expect: REGEX -->`, `<!-- exit: N -->`.
 * Throws when a block is not closed or an expression is none.
 */
export function parseLab(fileName: string, markdown: string): Lab {
  const match = /^(\d+)-(.+)\.md$/.exec(fileName);
  if (!match) throw new Error(`${fileName}: the name of a lab is NN-NAME.md`);
  const steps: LabStep[] = [];
  let title = '';
  let images: readonly string[] = [];
  let text: string[] = [];
  const flush = (): void => {
    if (text.some((line) => line !== '')) steps.push({ kind: 'text', text: text.join('\n').trim() });
    text = [];
  };
  const lines = markdown.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    const fence = /^(`{3,})(.*)$/.exec(line);
    const comment = /^<!--\s*(\w+):\s*(.*?)\s*-->$/.exec(line);
    if (fence) {
      flush();
      const end = lines.indexOf(fence[1]!, at + 1);
      if (end < 0) throw new Error(`${fileName}:${at + 1}: this block is not closed`);
      steps.push(blockStep(fence[2]!.trim(), lines.slice(at + 1, end).join('\n')));
      at = end;
    } else if (comment) {
      flush();
      if (comment[1] === 'images') images = comment[2]!.split(/[\s,]+/).filter((word) => word !== '');
      else demand(steps, comment[1]!, comment[2]!, `${fileName}:${at + 1}`);
    } else if (line.startsWith('# ')) title = line.slice(2);
    else if (line.startsWith('## ')) {
      flush();
      steps.push({ kind: 'heading', text: line.slice(3) });
    } else text.push(line);
  }
  flush();
  return { number: match[1]!, name: match[2]!, title, images, steps };
}

function blockStep(info: string, content: string): LabStep {
  const file = /(?:^|\s)file=(\S+)/.exec(info)?.[1];
  if (file !== undefined) return { kind: 'file', path: file, content: `${content}\n` };
  const [language, ...words] = info.split(/\s+/);
  if (language !== 'sh') return { kind: 'picture', text: content };
  return { kind: 'run', script: content, expect: [], exit: 0, cleanup: words.includes('cleanup') };
}

/** Adds what a comment demands to the block in front of it. */
function demand(steps: LabStep[], word: string, value: string, place: string): void {
  const last = steps.at(-1);
  if (last?.kind !== 'run') throw new Error(`${place}: there is no block in front of this that is run`);
  if (word === 'expect') steps[steps.length - 1] = { ...last, expect: [...last.expect, new RegExp(value, 'm')] };
  else if (word === 'exit') steps[steps.length - 1] = { ...last, exit: Number(value) };
  else throw new Error(`${place}: no word ${word}: use expect, exit or images`);
}
