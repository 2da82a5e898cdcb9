import { EngineError } from '../base/errors.ts';

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number of a quantity: `500m` is 0.5, `64Mi` 67108864. Throws `invalid-argument`. */
export function parseQuantity(text: string): number {
  const match = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[eE]([+-]?\d+)|([a-zA-Z]*))$/.exec(text);
  const factor = match && (match[2] === undefined ? FACTORS[match[3]!] : 10 ** Number(match[2]));
  if (!match || factor === undefined || factor === null)
    throw new EngineError('invalid-argument', `invalid quantity ${JSON.stringify(text)}`);
  return Number(match[1]) * factor;
}
