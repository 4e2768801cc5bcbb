// relying-party.mjs: goes through the flows of an OAuth 2 and OpenID Connect server with
// openid-client, a certified relying party. It reads from stdin
//
//   {"issuer", "key": PKCS #8 of a P-256 key in base64, "user", "password", "audience"}
//
// and says of each flow "ok NAME" or "failed NAME: why". The server must know the clients
//
//   web    secret "web-secret", redirects to https://web.example.com/cb, may have the audience
//   es     the same, with ES256 for its ID tokens
//   ed     the same, with EdDSA
//   robot  authenticates with the key
//   app    public, redirects to http://127.0.0.1/cb
import { text } from 'node:stream/consumers';
import * as oidc from 'openid-client';

const given = JSON.parse(await text(process.stdin));
const issuer = new URL(given.issuer);
const callback = 'https://web.example.com/cb';
const insecure = { execute: [oidc.allowInsecureRequests] };
const key = {
  key: await crypto.subtle.importKey('pkcs8', Buffer.from(given.key, 'base64'), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']),
};

const web = (auth = oidc.ClientSecretBasic('web-secret'), metadata, options) =>
  oidc.discovery(issuer, 'web', metadata, auth, { ...insecure, ...options });

function check(what, ok, seen) {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

// sends returns where the login page sends the browser.
async function sends(url) {
  const body = new URLSearchParams({ username: given.user, password: given.password });
  const response = await fetch(url, { method: 'POST', body, redirect: 'manual' });
  check('the login page', response.status === 303, response.status);
  return new URL(response.headers.get('location'));
}

// login goes through the code flow and returns the tokens.
async function login(config, redirect, parameters = {}, dpop = undefined) {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope: 'openid email',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  });
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
  if (parameters.max_age) checks.maxAge = Number(parameters.max_age);
  return oidc.authorizationCodeGrant(config, await sends(url), checks, {}, dpop);
}

// rejects returns the error that f fails with.
async function rejects(f) {
  try {
    await f();
  } catch (error) {
    return error;
  }
  throw new Error('it succeeded');
}

const flows = {
  'discovery by OpenID Connect': async () => {
    const config = await web();
    const m = config.serverMetadata();
    check('issuer', m.issuer === given.issuer, m.issuer);
    check('RS256 is offered', m.id_token_signing_alg_values_supported.includes('RS256'), m);
    check('PKCE is offered', m.supportsPKCE(), m);
  },
  'discovery by RFC 8414': async () => {
    await web(undefined, undefined, { algorithm: 'oauth2' });
  },
  'code, userinfo, refresh, introspection, revocation': async () => {
    const config = await web();
    const tokens = await login(config, callback);
    const claims = tokens.claims();
    check('claims', claims.sub === given.user && claims.aud === 'web', claims);
    const info = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
    check('userinfo', info.sub === given.user && info.email === 'alice@example.com' && info.email_verified === true, info);
    const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    check('a new refresh token', next.refresh_token && next.refresh_token !== tokens.refresh_token, next);
    check('the new ID token', next.claims().sub === given.user, next.claims());
    const active = await oidc.tokenIntrospection(config, next.access_token);
    check('active', active.active && active.client_id === 'web', active);
    await oidc.tokenRevocation(config, next.refresh_token);
    const over = await oidc.tokenIntrospection(config, next.access_token);
    check('inactive', over.active === false, over);
    const error = await rejects(() => oidc.refreshTokenGrant(config, next.refresh_token));
    check('refused', error.error === 'invalid_grant', error);
  },
  'a secret in the form': async () => {
    const tokens = await login(await web(oidc.ClientSecretPost('web-secret')), callback);
    check('claims', tokens.claims().sub === given.user, tokens.claims());
  },
  'a young login': async () => {
    await login(await web(), callback, { max_age: '60' });
  },
  'ES256': async () => {
    const config = await oidc.discovery(issuer, 'es', { id_token_signed_response_alg: 'ES256' }, oidc.ClientSecretBasic('es-secret'), insecure);
    oidc.enableNonRepudiationChecks(config); // verify signatures, although the tokens come over a channel of their own
    await login(config, callback);
  },
  'Ed25519': async () => {
    const config = await oidc.discovery(issuer, 'ed', { id_token_signed_response_alg: 'EdDSA' }, oidc.ClientSecretBasic('ed-secret'), insecure);
    oidc.enableNonRepudiationChecks(config);
    await login(config, callback);
  },
  'RS256, by default': async () => {
    const config = await web();
    oidc.enableNonRepudiationChecks(config);
    await login(config, callback);
  },
  'a public client on a loopback address': async () => {
    const config = await oidc.discovery(issuer, 'app', undefined, oidc.None(), insecure);
    const tokens = await login(config, 'http://127.0.0.1:51234/cb', { scope: 'openid' });
    const next = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    await oidc.tokenRevocation(config, next.refresh_token);
  },
  'client credentials with private_key_jwt': async () => {
    const config = await oidc.discovery(issuer, 'robot', undefined, oidc.PrivateKeyJwt(key), insecure);
    const tokens = await oidc.clientCredentialsGrant(config);
    const active = await oidc.tokenIntrospection(config, tokens.access_token);
    check('active', active.active && active.sub === 'robot', active);
    await oidc.tokenRevocation(config, tokens.access_token);
    const over = await oidc.tokenIntrospection(config, tokens.access_token);
    check('inactive', over.active === false, over);
  },
  'client credentials for a resource': async () => {
    const tokens = await oidc.clientCredentialsGrant(await web(), { resource: given.audience });
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'));
    check('aud', claims.aud.includes(given.audience), claims);
    const error = await rejects(async () => oidc.clientCredentialsGrant(await web(), { resource: 'https://other.example.com' }));
    check('refused', error.error === 'invalid_target', error);
  },
  'DPoP': async () => {
    const config = await oidc.discovery(issuer, 'app', undefined, oidc.None(), insecure);
    const pair = await oidc.randomDPoPKeyPair('ES256');
    const DPoP = oidc.getDPoPHandle(config, pair);
    const redirect = 'http://127.0.0.1:51234/cb';
    const tokens = await login(config, redirect, { scope: 'openid', dpop_jkt: await DPoP.calculateThumbprint() }, { DPoP });
    check('its type', tokens.token_type === 'dpop', tokens.token_type);
    const info = await oidc.fetchUserInfo(config, tokens.access_token, given.user, { DPoP });
    check('userinfo', info.sub === given.user, info);
    const next = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
    const bare = await rejects(() => oidc.fetchUserInfo(config, next.access_token, given.user));
    check('a bearer', bare.status === 401, bare);
    const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('EdDSA'));
    const stolen = await rejects(() => oidc.fetchUserInfo(config, next.access_token, given.user, { DPoP: thief }));
    check('a thief', stolen.status === 401, stolen);
    const refresh = await rejects(() => oidc.refreshTokenGrant(config, next.refresh_token, undefined, { DPoP: thief }));
    check('a thief refreshes', refresh.error === 'invalid_grant', refresh);
    const code = await rejects(async () =>
      login(config, redirect, { scope: 'openid', dpop_jkt: await DPoP.calculateThumbprint() }, { DPoP: thief }));
    check('a code bound to another key', code.error === 'invalid_grant', code);
    const robot = await oidc.discovery(issuer, 'robot', undefined, oidc.PrivateKeyJwt(key), insecure);
    const own = await oidc.clientCredentialsGrant(robot, undefined, { DPoP: oidc.getDPoPHandle(robot, pair) });
    const active = await oidc.tokenIntrospection(robot, own.access_token);
    check('introspection', active.token_type === 'DPoP' && active.cnf.jkt === (await DPoP.calculateThumbprint()), active);
  },
  'token exchange': async () => {
    const config = await web();
    const own = await oidc.clientCredentialsGrant(config);
    const type = 'urn:ietf:params:oauth:token-type:access_token';
    const tokens = await oidc.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
      subject_token: own.access_token,
      subject_token_type: type,
      audience: given.audience,
    });
    check('its type', tokens.issued_token_type === type, tokens);
  },
  'errors that are sent back': async () => {
    const config = await web();
    const silent = await rejects(async () => {
      const url = oidc.buildAuthorizationUrl(config, {
        redirect_uri: callback, scope: 'openid', prompt: 'none', state: 's', code_challenge_method: 'S256',
        code_challenge: await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier()),
      });
      const response = await fetch(url, { redirect: 'manual' });
      await oidc.authorizationCodeGrant(config, new URL(response.headers.get('location')), { expectedState: 's' });
    });
    check('prompt none', silent.error === 'login_required', silent);
    const secret = await rejects(async () => oidc.clientCredentialsGrant(await web(oidc.ClientSecretBasic('wrong'))));
    check('a wrong secret', secret.status === 401 && secret.cause[0].scheme === 'basic', secret);
    const info = await rejects(() => oidc.fetchUserInfo(config, 'x', given.user));
    check('a bad token', info instanceof oidc.WWWAuthenticateChallengeError && info.cause[0].parameters.error === 'invalid_token', info);
  },
};

let failures = 0;
for (const [name, flow] of Object.entries(flows)) {
  try {
    await flow();
    console.log(`ok ${name}`);
  } catch (error) {
    failures++;
    console.log(`failed ${name}: ${error.message} ${error.code ?? ''} ${error.error ?? ''} ${error.cause?.message ?? ''}`);
  }
}
process.exit(failures ? 1 : 0);
