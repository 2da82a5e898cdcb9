import type { IncomingMessage, ServerResponse } from 'node:http';
import { collect } from '../../content/children.ts';
import { type Access, type Asking, scopeActions } from './access.ts';
import { ACTIONS } from './access-rules.ts';
import { bodyOf, wrongMethod } from './call.ts';
import { ProtocolError } from './protocol-error.ts';
import { isCurrent, type TokenAccess } from './tokens.ts';

const LIFE_SECONDS = 300;
const REFRESH_SECONDS = 90 * 24 * 3600;
const MAX_FORM_BYTES = 64 << 10;
const MAX_SCOPES = 100;

/**
 * `/token`: the token service of the distribution project, GET with a login or none, and POST as OAuth 2 has it (password,
 * refresh_token). What is asked for and may not be had is left out of the token. Gives who got one.
 */
export async function handleToken(
  access: Access,
  {
    request,
    response,
    search,
    asking,
  }: { request: IncomingMessage; response: ServerResponse; search: string; asking: Asking },
): Promise<string | undefined> {
  const { tokens } = access;
  if (!tokens) throw new ProtocolError(404, 'UNSUPPORTED', 'there is no token service here');
  const { signer, options } = tokens;
  const form = await readForm(request, search);
  const service = form.get('service');
  if (service !== null && service !== options.service) {
    throw new ProtocolError(400, 'UNSUPPORTED', `this is the token service of ${options.service}`);
  }
  const subject = await subjectOf(access, form, request, asking);
  const expiresIn = options.lifeSeconds ?? LIFE_SECONDS;
  const now = Math.floor(Date.now() / 1000);
  const common = { iss: options.issuer, sub: subject ?? '', aud: options.service };
  const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
  const token = signer.sign({ ...common, exp: now + expiresIn, access: grantedOf(access, subject, scopes) });
  const wantsRefresh = form.get('offline_token') === 'true' || form.get('access_type') === 'offline';
  const fingerprint = subject === undefined ? undefined : access.logins?.fingerprint(subject);
  // With a key that is gone after a restart, a client would keep what is worth nothing.
  const refresh =
    wantsRefresh && fingerprint !== undefined && options.secret
      ? signer.sign({ ...common, exp: now + REFRESH_SECONDS, access: [], refresh: fingerprint })
      : undefined;
  const body = JSON.stringify({
    token,
    access_token: token,
    expires_in: expiresIn,
    issued_at: new Date().toISOString(),
    ...(refresh !== undefined && { refresh_token: refresh }),
  });
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
  return subject;
}

async function readForm(request: IncomingMessage, search: string): Promise<URLSearchParams> {
  if (request.method === 'GET') return new URLSearchParams(search);
  if (request.method !== 'POST') throw wrongMethod('GET, POST');
  const body = await collect(bodyOf(request), MAX_FORM_BYTES, 'the form');
  return new URLSearchParams(body.toString('utf8'));
}

/** Undefined for nobody in particular. Throws 401. */
async function subjectOf(
  access: Access,
  form: URLSearchParams,
  request: IncomingMessage,
  asking: Asking,
): Promise<string | undefined> {
  const { logins, tokens } = access;
  const refuse = (): never => {
    throw new ProtocolError(401, 'UNAUTHORIZED', 'incorrect username or password', {
      'www-authenticate': 'Basic realm="Registry"',
    });
  };
  if (request.method === 'GET') {
    if (asking.authorization === undefined) return undefined;
    return (await logins?.basic(asking.authorization, asking.address)) ?? refuse();
  }
  switch (form.get('grant_type')) {
    case 'password':
      return (await logins?.check(form.get('username') ?? '', form.get('password') ?? '', asking.address)) ?? refuse();
    case 'refresh_token': {
      const claims = tokens!.signer.verify(form.get('refresh_token') ?? '');
      const valid = claims?.refresh !== undefined && isCurrent(claims, tokens!.options);
      // With the password, what it was exchanged for has changed too.
      return valid && logins?.fingerprint(claims.sub) === claims.refresh ? claims.sub : refuse();
    }
    default:
      throw new ProtocolError(400, 'UNSUPPORTED', 'grant_type is neither password nor refresh_token');
  }
}

function grantedOf(access: Access, subject: string | undefined, scopes: readonly string[]): TokenAccess[] {
  const granted: TokenAccess[] = [];
  for (const scope of scopes.slice(0, MAX_SCOPES)) {
    const match = /^repository(?:\([a-z]+\))?:([^:]+):([a-z*,]+)$/.exec(scope);
    if (!match) continue;
    const [, name, asked] = match;
    const wanted = asked!.split(',');
    const actions = ACTIONS.filter(
      (action) =>
        action !== 'list' &&
        (wanted.includes(action) || wanted.includes('*')) &&
        scopeActions(action)
          .split(',')
          .every((one) => access.allows(subject, one as typeof action, name)),
    );
    if (actions.length > 0) granted.push({ type: 'repository', name: name!, actions });
  }
  return granted;
}
