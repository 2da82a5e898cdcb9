import { randomInt } from 'node:crypto';
import { EngineError } from '../base/errors.ts';

const VALID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Without the leading slash that clients may send. Throws `invalid-argument` in Docker's words. */
export function checkContainerName(name: string): string {
  const bare = name.startsWith('/') ? name.slice(1) : name;
  if (!VALID.test(bare)) {
    throw new EngineError(
      'invalid-argument',
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  return bare;
}

/** `steady_hopper`: an adjective and the surname of somebody who moved things forward. `isTaken` is asked for each try. */
export function generateName(isTaken: (name: string) => boolean): string {
  for (let tries = 0; ; tries++) {
    const name = `${pick(ADJECTIVES)}_${pick(SURNAMES)}${tries < 6 ? '' : randomInt(10 ** Math.min(tries - 5, 9))}`;
    if (!isTaken(name)) return name;
  }
}

function pick(list: readonly string[]): string {
  return list[randomInt(list.length)]!;
}

const ADJECTIVES = (
  'able agile alert amber ample apt arctic azure balmy blithe bold brave breezy brisk bright calm candid careful ' +
  'cheerful civil clear clever cosy crafty crisp curious daring dapper deft eager earnest easy elated elegant fair ' +
  'faithful fearless fleet fluent fond frank free fresh frosty gallant gentle genial gifted glad golden graceful grand ' +
  'handy happy hardy hearty honest hopeful humble jolly jovial keen kind lively loyal lucid lucky lunar mellow merry mighty ' +
  'mild modest neat nimble noble novel open patient placid plucky polite proud prudent quick quiet radiant ready robust ' +
  'rosy rustic sage serene sharp silent silver sincere sleek smart snug solar solid spry stable steady stellar ' +
  'stoic sturdy subtle sunny sure swift tender thrifty tidy tranquil trusty upbeat vivid warm wary willing winsome ' +
  'wise witty worthy young zesty'
).split(' ');

const SURNAMES = (
  'abel adams agnesi alder ampere anning arkwright avogadro babbage backus bardeen bell berners bernoulli bessel bohr ' +
  'boole borg boyle brahe braille brunel cantor carson carver cerf chandra church codd cori coulomb cray curie dalton ' +
  'darwin daubechies davy descartes diesel dijkstra dirac earhart edison einstein engelbart erdos euclid euler faraday ' +
  'fermat fermi feynman fibonacci floyd fourier franklin galileo galois gauss germain gibbs goodall godel gosling gutenberg ' +
  'hamilton hamming hawking heisenberg hertz hilbert hoare hodgkin hollerith hooke hopper hubble huygens hypatia jacquard joule ' +
  'karp kelvin kepler kilby knuth kovalevskaya lagrange lamarr laplace lavoisier leavitt leibniz liskov lorenz lovelace ' +
  'maxwell mayer mccarthy mcclintock meitner mendel mendeleev minsky moore morse napier nash neumann newell newton nightingale ' +
  'nobel noether noyce ohm oppenheimer pascal pasteur pauli perlman planck poincare postel ptolemy ramanujan ride ritchie ' +
  'roentgen rosen rubin rutherford sagan salk shannon shockley simon sinclair somerville stevin sutherland tesla thales ' +
  'thompson torvalds turing vaughan vinci volta watt wiles wilkes wirth wozniak wright wu yalow zuse'
).split(' ');
