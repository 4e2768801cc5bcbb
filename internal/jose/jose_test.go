package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// everyKey has a private key of each type.
var everyKey = func() map[string]any {
	_, ed, _ := ed25519.GenerateKey(nil)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	r, _ := rsa.GenerateKey(rand.Reader, 2048)
	secret := make([]byte, 64)
	rand.Read(secret)
	return map[string]any{
		EdDSA: ed, ES256: p256, ES384: p384, ES512: p521, RS256: r, RS384: r, RS512: r, PS256: r, PS384: r, PS512: r,
		HS256: secret, HS384: secret, HS512: secret,
	}
}()

func signer(t testing.TB, alg string) *Signer {
	t.Helper()
	s, err := NewSigner("k1", alg, everyKey[alg])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryAlgorithmSignsAndVerifies(t *testing.T) {
	for alg := range everyKey {
		s := signer(t, alg)
		raw, err := s.Sign("at+jwt", []byte(`{"sub":"a"}`))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		m, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if m.Algorithm != alg || m.KeyID != "k1" || m.Type != "at+jwt" || string(m.Payload) != `{"sub":"a"}` {
			t.Errorf("%s: read back %+v", alg, m)
		}
		for other := range everyKey {
			err := m.Verify(signer(t, other).Key())
			if ok := err == nil; ok != (other == alg) {
				t.Errorf("a token of %s and a key of %s: %v", alg, other, err)
			}
		}
		if Symmetric(alg) {
			continue
		}
		keys, skipped, err := ParseSet(MarshalSet(s.Key()))
		if err != nil || len(skipped) != 0 || len(keys) != 1 {
			t.Fatalf("%s: set read back: %v, %v, %v", alg, keys, skipped, err)
		}
		if err := m.Verify(keys[0]); err != nil {
			t.Errorf("%s: with the key out of the set: %v", alg, err)
		}
	}
}

// The public key of an RSA pair as an HMAC secret (CVE-2015-9235 and its kin).
func TestAlgorithmConfusionFindsNoKey(t *testing.T) {
	public := signer(t, RS256).Key()
	for _, secret := range [][]byte{MarshalSet(public), everyKey[RS256].(*rsa.PrivateKey).N.Bytes()} {
		forger, err := NewSigner("k1", HS256, secret)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := forger.Sign("", []byte(`{"iss":"i","exp":9999999999}`))
		if err != nil {
			t.Fatal(err)
		}
		v := Verifier{Issuer: "i", Algorithms: []string{RS256, HS256}, Keys: Keys{public}}
		if c, err := v.Verify(t.Context(), raw); err == nil {
			t.Errorf("forged token accepted: %v", c)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := b64(`{"alg":"HS256"}`)
	for name, raw := range map[string]string{
		"empty":              "",
		"one part":           "abc",
		"two parts":          good + ".e30",
		"four parts":         good + ".e30.AA.AA",
		"no signature":       good + ".e30.",
		"padding":            good + "=.e30.AA",
		"padded signature":   good + ".e30.AAA=",
		"line break":         good + ".e3\n0.AA",
		"carriage return":    good + ".e30.AA\r",
		"space":              good + ". e30.AA",
		"plus and slash":     good + ".e30.+/AA",
		"unused bits":        good + ".e30.AB",
		"JSON":               `{"protected":"` + good + `","payload":"e30","signature":"AA"}`,
		"none":               b64(`{"alg":"none"}`) + ".e30.AA",
		"None":               b64(`{"alg":"None"}`) + ".e30.AA",
		"no alg":             b64(`{}`) + ".e30.AA",
		"alg a number":       b64(`{"alg":1}`) + ".e30.AA",
		"kid a list":         b64(`{"alg":"HS256","kid":["a"]}`) + ".e30.AA",
		"lower case alg":     b64(`{"alg":"hs256"}`) + ".e30.AA",
		"alg twice":          b64(`{"alg":"HS256","alg":"HS256"}`) + ".e30.AA",
		"alg twice, escaped": b64(`{"alg":"HS256","\u0061lg":"none"}`) + ".e30.AA",
		"crit":               b64(`{"alg":"HS256","crit":["exp"],"exp":1}`) + ".e30.AA",
		"empty crit":         b64(`{"alg":"HS256","crit":[]}`) + ".e30.AA",
		"b64":                b64(`{"alg":"HS256","b64":false,"crit":["b64"]}`) + ".e30.AA",
		"encrypted":          b64(`{"alg":"RSA-OAEP","enc":"A128GCM"}`) + ".e30.AA",
		"header no object":   b64(`["HS256"]`) + ".e30.AA",
		"header and more":    b64(`{"alg":"HS256"}{}`) + ".e30.AA",
		"header not UTF-8":   b64("{\"alg\":\"HS256\",\"x\":\"\xff\"}") + ".e30.AA",
		"nested":             b64(`{"alg":"HS256","x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`) + ".e30.AA",
		"dots":               strings.Repeat(".", MaxToken),
		"too long":           good + "." + strings.Repeat("A", MaxToken) + ".AA",
	} {
		m, err := Parse(raw)
		if !errors.Is(err, ErrFormat) || !errors.Is(err, fault.Unauthenticated) || m != nil {
			t.Errorf("%s: Parse = %v, %v, want ErrFormat", name, m, err)
		}
	}
}

// A key in the header is not looked at: the token is checked with the issuer's.
func TestKeysInHeadersAreIgnored(t *testing.T) {
	attacker := signer(t, EdDSA)
	_, mine, _ := ed25519.GenerateKey(nil)
	s, _ := NewSigner("k1", EdDSA, mine)
	var jwk struct{ Keys []json.RawMessage }
	json.Unmarshal(MarshalSet(attacker.Key()), &jwk)
	head := b64(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/","jwk":` + string(jwk.Keys[0]) + `}`)
	signed := head + "." + b64(`{"iss":"i","exp":9999999999}`)
	sig := ed25519.Sign(everyKey[EdDSA].(ed25519.PrivateKey), []byte(signed))
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key()}}
	if _, err := v.Verify(t.Context(), signed+"."+base64.RawURLEncoding.EncodeToString(sig)); !errors.Is(err, ErrSignature) {
		t.Errorf("Verify = %v, want ErrSignature", err)
	}
	sig = ed25519.Sign(mine, []byte(signed))
	if _, err := v.Verify(t.Context(), signed+"."+base64.RawURLEncoding.EncodeToString(sig)); err != nil {
		t.Errorf("the issuer's own signature: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	n1024, _ := rsa.GenerateKey(rand.Reader, 1024)
	big := everyKey[RS256].(*rsa.PrivateKey).N.Bytes()
	enc := base64.RawURLEncoding.EncodeToString
	for name, jwk := range map[string]string{
		"no object":     `[]`,
		"no type":       `{}`,
		"unknown type":  `{"kty":"XYZ"}`,
		"type a number": `{"kty":1}`,
		"RSA of 1024 bits": `{"kty":"RSA","e":"AQAB","n":"` + enc(func() []byte {
			if n1024 == nil {
				return []byte{1}
			}
			return n1024.N.Bytes()
		}()) + `"}`,
		"RSA exponent 1":       `{"kty":"RSA","e":"AQ","n":"` + enc(big) + `"}`,
		"RSA exponent 2":       `{"kty":"RSA","e":"Ag","n":"` + enc(big) + `"}`,
		"RSA exponent huge":    `{"kty":"RSA","e":"` + enc(big) + `","n":"` + enc(big) + `"}`,
		"RSA even":             `{"kty":"RSA","e":"AQAB","n":"` + enc(append([]byte{0x80}, make([]byte, 255)...)) + `"}`,
		"RSA of 16384 bits":    `{"kty":"RSA","e":"AQAB","n":"` + enc(append(append([]byte{0x80}, make([]byte, 2046)...), 1)) + `"}`,
		"RSA without n":        `{"kty":"RSA","e":"AQAB"}`,
		"EC off the curve":     `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`,
		"EC short coordinate":  `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`,
		"EC unknown curve":     `{"kty":"EC","crv":"secp256k1","x":"AQ","y":"AQ"}`,
		"EC with RS256":        `{"kty":"EC","alg":"RS256","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		"EC of another curve":  `{"kty":"EC","alg":"ES384","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		"Ed25519 short":        `{"kty":"OKP","crv":"Ed25519","x":"AQ"}`,
		"X25519":               `{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"for encryption":       `{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"not for verifying":    `{"kty":"OKP","crv":"Ed25519","key_ops":["sign"],"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"unknown algorithm":    `{"kty":"OKP","crv":"Ed25519","alg":"none","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		"a secret of 16 bytes": `{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAA"}`,
		"HS512 with 32 bytes":  `{"kty":"oct","alg":"HS512","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
	} {
		if k, err := ParseKey([]byte(jwk)); err == nil {
			t.Errorf("%s: accepted as %+v", name, k)
		}
	}
	keys, skipped, err := ParseSet([]byte(`{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},{"kty":"new"},{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil || len(keys) != 1 || keys[0].ID != "a" || len(skipped) != 2 {
		t.Errorf("a mixed set: %v, %v, %v; want the one good key", keys, skipped, err)
	}
	const good, sealed = `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, `{"kty":"RSA","use":"enc","alg":"RSA-OAEP","kid":"e"}`
	for set, want := range map[string]int{good: 1, sealed + "," + good: 1, sealed: 0, good + `,{"kty":"new"}`: 0, good + `,{"kty":"new","use":"sig"}`: 0} {
		keys, err := ParseWhole([]byte(`{"keys":[` + set + `]}`))
		if len(keys) != want || (err == nil) != (want > 0) || want > 0 && keys[0].ID != "a" {
			t.Errorf("an operator's set of %s: %v, %v", set, keys, err)
		}
	}
	if _, _, err := ParseSet([]byte(`{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`)); err == nil {
		t.Error("a huge set was accepted")
	}
	for _, private := range []any{nil, "secret", ed25519.PrivateKey{1}, []byte("short"), everyKey[EdDSA].(ed25519.PrivateKey).Public()} {
		if _, err := NewSigner("", "", private); !errors.Is(err, ErrKey) {
			t.Errorf("NewSigner(%T) = %v, want ErrKey", private, err)
		}
	}
}

func TestClaims(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := signer(t, EdDSA)
	v := Verifier{Issuer: "https://i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key()}, Leeway: 30 * time.Second, Now: func() time.Time { return now }}
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, c := range []struct {
		name, typ, payload string
		want               error
	}{
		{"good", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d}`, at(time.Minute)), nil},
		{"at+jwt", "AT+JWT", fmt.Sprintf(`{"iss":"https://i","exp":%d}`, at(time.Minute)), nil},
		{"a logout token", "logout+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d}`, at(time.Minute)), ErrType},
		{"fraction", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d.5}`, at(time.Minute)), nil},
		{"within the leeway", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d,"nbf":%d,"iat":%d}`, at(-29*time.Second), at(29*time.Second), at(29*time.Second)), nil},
		{"expired", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d}`, at(-30*time.Second)), ErrExpired},
		{"no exp", "at+jwt", `{"iss":"https://i"}`, ErrClaims},
		{"exp null", "at+jwt", `{"iss":"https://i","exp":null}`, ErrClaims},
		{"exp a string", "at+jwt", `{"iss":"https://i","exp":"9999999999"}`, ErrClaims},
		{"exp negative", "at+jwt", `{"iss":"https://i","exp":-1}`, ErrClaims},
		{"exp beyond time", "at+jwt", `{"iss":"https://i","exp":1e300}`, ErrClaims},
		{"exp too large for an int", "at+jwt", `{"iss":"https://i","exp":99999999999999999999}`, ErrClaims},
		{"not yet", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d,"nbf":%d}`, at(time.Hour), at(31*time.Second)), ErrClaims},
		{"of the future", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d,"iat":%d}`, at(time.Hour), at(time.Minute)), ErrClaims},
		{"another issuer", "at+jwt", fmt.Sprintf(`{"iss":"https://i/","exp":%d}`, at(time.Minute)), ErrIssuer},
		{"no issuer", "at+jwt", fmt.Sprintf(`{"exp":%d}`, at(time.Minute)), ErrIssuer},
		{"issuer a list", "at+jwt", fmt.Sprintf(`{"iss":["https://i"],"exp":%d}`, at(time.Minute)), ErrIssuer},
		{"claim twice", "at+jwt", fmt.Sprintf(`{"iss":"https://i","exp":%d,"sub":"a","sub":"root"}`, at(time.Minute)), ErrFormat},
		{"no object", "at+jwt", `"x"`, ErrFormat},
	} {
		raw, err := s.Sign(c.typ, []byte(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), raw); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := (&Verifier{Keys: Keys{s.Key()}, Algorithms: []string{EdDSA}}).Verify(t.Context(), mustSign(t, s, `{"iss":"","exp":9999999999}`)); !errors.Is(err, ErrIssuer) {
		t.Errorf("a verifier without an issuer accepts one without: %v", err)
	}
	other := signer(t, ES256)
	if _, err := v.Verify(t.Context(), mustSign(t, other, `{"iss":"https://i","exp":9999999999}`)); !errors.Is(err, ErrFormat) {
		t.Errorf("an algorithm that is not the issuer's: %v", err)
	}
}

func mustSign(t testing.TB, s *Signer, payload string) string {
	t.Helper()
	raw, err := s.Sign("at+jwt", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// One kind of token is not another, although the same key signs both.
func TestKindsOfTokens(t *testing.T) {
	s := signer(t, EdDSA)
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key()}}
	untyped, ids := v, v
	untyped.Untyped, ids.Types = true, []string{"", "jwt"}
	for _, c := range []struct {
		typ, claim             string
		access, untyped, login bool
	}{
		{"at+jwt", ``, true, true, false},
		{"AT+JWT", ``, true, true, false},
		{"application/at+jwt", ``, true, true, false},
		{"at+jwt", `,"nonce":"n"`, true, true, false}, // its type says what it is
		{"", ``, false, true, true},
		{"JWT", ``, false, true, true},
		{"jwt", ``, false, true, true},
		{"JWT", `,"nonce":"n"`, false, false, true},
		{"", `,"nonce":null`, false, false, true},
		{"JWT", `,"at_hash":"x"`, false, false, true},
		{"JWT", `,"c_hash":"x"`, false, false, true},
		{"JWT", `,"s_hash":"x"`, false, false, true},
		{"JWT", `,"events":{}`, false, false, true},
		{"JWT", `,"auth_time":1,"acr":"0","sid":"x","azp":"web"`, false, true, true}, // access tokens have them, too
		{"JWT", `,"typ":"ID"`, false, false, true},
		{"JWT", `,"typ":"Refresh"`, false, false, true},
		{"JWT", `,"typ":7`, false, false, true},
		{"JWT", `,"typ":"Bearer"`, false, true, true},
		{"JWT", `,"typ":"Bearer","nonce":"n"`, false, true, true},
		{"JWT", `,"typ":"DPoP"`, false, true, true},
		{"JWT", `,"token_use":"id"`, false, false, true},
		{"JWT", `,"token_use":"access"`, false, true, true},
		{"logout+jwt", ``, false, false, false},
		{"dpop+jwt", ``, false, false, false},
		{"JOSE", ``, false, false, false},
		{"application/jwt", ``, false, false, false},
		{"at+jwt ", ``, false, false, false},
	} {
		raw, err := s.Sign(c.typ, []byte(`{"iss":"i","exp":9999999999`+c.claim+`}`))
		if err != nil {
			t.Fatal(err)
		}
		for name, one := range map[string]struct {
			v    *Verifier
			want bool
		}{"access": {&v, c.access}, "untyped": {&untyped, c.untyped}, "login": {&ids, c.login}} {
			if _, err := one.v.Verify(t.Context(), raw); (err == nil) != one.want || err != nil && !errors.Is(err, ErrType) {
				t.Errorf("%s: typ %q with %s: %v, want accepted %t", name, c.typ, c.claim, err, one.want)
			}
		}
	}
}

func TestNaturalAlgorithm(t *testing.T) {
	for name, key := range everyKey {
		if k := signer(t, name).Key(); k.Natural() != name {
			t.Errorf("%s: a key for it has %s", name, k.Natural())
		}
		s, err := NewSigner("", "", key)
		if err != nil {
			t.Fatal(err)
		}
		bare := *s.Key()
		bare.Algorithm = ""
		want := s.name
		if got := bare.Natural(); got != want {
			t.Errorf("%s: a key without an algorithm has %s, want %s", name, got, want)
		}
	}
}

func TestTokenWithoutKeyIDTriesAFewKeys(t *testing.T) {
	var keys Keys
	var last *Signer
	for range 12 {
		_, p, _ := ed25519.GenerateKey(nil)
		last, _ = NewSigner("", EdDSA, p)
		keys = append(keys, last.Key())
	}
	third, _ := NewSigner("", EdDSA, everyKey[EdDSA])
	keys[3] = third.Key()
	for _, k := range keys {
		k.ID = "" // so that the headers name none
	}
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: keys}
	if _, err := v.Verify(t.Context(), mustSign(t, third, `{"iss":"i","exp":9999999999}`)); err != nil {
		t.Errorf("the fourth of twelve keys: %v", err)
	}
	if _, err := v.Verify(t.Context(), mustSign(t, last, `{"iss":"i","exp":9999999999}`)); !errors.Is(err, ErrSignature) {
		t.Errorf("the twelfth key was tried: %v", err)
	}
}

func TestAnIDThatNamesTwoKeysIsRefused(t *testing.T) {
	_, p, _ := ed25519.GenerateKey(nil)
	shadow, _ := NewSigner("k1", EdDSA, p)
	s := signer(t, EdDSA)
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key(), shadow.Key()}}
	for _, by := range []*Signer{s, shadow} {
		if _, err := v.Verify(t.Context(), mustSign(t, by, `{"iss":"i","exp":9999999999}`)); !errors.Is(err, ErrKey) {
			t.Errorf("Verify = %v, want ErrKey", err)
		}
	}
	v.Keys = Keys{s.Key(), signer(t, ES256).Key()} // of two types: only one is meant
	if _, err := v.Verify(t.Context(), mustSign(t, s, `{"iss":"i","exp":9999999999}`)); err != nil {
		t.Errorf("Verify with keys of two types: %v", err)
	}
}

func TestParseObject(t *testing.T) {
	got, err := ParseObject([]byte(` { "a" : [ 1 , -0 , 1.5e3 , 9007199254740993 , true , false , null , "x\u00e9\ud83d\ude00\n" ] , "b" : { } , "c":[] } `))
	want := map[string]any{"a": []any{int64(1), int64(0), 1500.0, int64(9007199254740993), true, false, nil, "xé😀\n"}, "b": map[string]any{}, "c": []any{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v, %v\nwant %#v", got, err, want)
	}
	for _, bad := range []string{
		``, `{`, `}`, `[]`, `null`, `{}x`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a":[1,]}`, `{"a":[,]}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`,
		`{"a":+1}`, `{"a":1e}`, `{"a":-}`, `{"a":NaN}`, `{"a":1e999}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\udc00"}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", `{"a":tru}`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, `{'a':1}`, `{a:1}`, "\ufeff{}", `{"a":"\"}`, `{"a":/*x*/1}`,
		"{\"a\":\"\xff\"}", "{\"a\":\"\\n\xff\"}", "{\"a\":\"\xc3\\n\xa9\"}", "{\"\\n\xff\":1}", "{\"a\":\"\\n\x01\"}",
	} {
		if v, err := ParseObject([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("ParseObject(%q) = %v, %v, want ErrFormat", bad, v, err)
		}
	}
}

// What we accept encoding/json accepts too, and sees the same.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2.5,"x",null,true,{"b":"\u00e9"}]}`, `{"a":1,"a":2}`, `{"exp":1e3}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, err := ParseObject(b)
		if err != nil {
			return
		}
		var theirs map[string]any
		if err := json.Unmarshal(b, &theirs); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", b, err)
		}
		again, _ := json.Marshal(ours)
		var back map[string]any
		if err := json.Unmarshal(again, &back); err != nil || !reflect.DeepEqual(back, theirs) {
			t.Fatalf("%q: we see %s, encoding/json %#v", b, again, theirs)
		}
	})
}

func FuzzVerify(f *testing.F) {
	s := signer(f, EdDSA)
	raw := mustSign(f, s, `{"iss":"i","exp":9999999999}`)
	f.Add(raw)
	f.Add("a.b.c")
	f.Add(b64(`{"alg":"EdDSA","kid":"k1"}`) + ".e30.AA")
	v := Verifier{Issuer: "i", Algorithms: []string{EdDSA}, Keys: Keys{s.Key()}}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := v.Verify(t.Context(), in)
		if err == nil && in != raw {
			t.Fatalf("accepted %q: %v", in, c)
		}
		if err != nil && !errors.Is(err, fault.Unauthenticated) {
			t.Fatalf("%q: %v is not ErrUnauthenticated", in, err)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add(MarshalSet(signer(f, EdDSA).Key(), signer(f, ES256).Key(), signer(f, RS256).Key()))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, _, err := ParseSet(b)
		if err != nil {
			return
		}
		again, skipped, err := ParseSet(MarshalSet(keys...))
		if err != nil || len(skipped) > 0 || len(again) != len(keys) {
			t.Fatalf("%q: written and read again: %v, %v", b, skipped, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{EdDSA, ES256, RS256, HS256} {
		b.Run(alg, func(b *testing.B) {
			s := signer(b, alg)
			raw := mustSign(b, s, fmt.Sprintf(`{"iss":"i","sub":"a","aud":["b"],"exp":%d,"iat":1700000000,"jti":"x","scope":"read write"}`, time.Now().Add(time.Hour).Unix()))
			v := Verifier{Issuer: "i", Algorithms: []string{alg}, Keys: Keys{s.Key()}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A set with more keys than a server has is not read: each is looked at for
// every token without a kid, and each costs arithmetic to check.
func TestSizesOfKeySets(t *testing.T) {
	for n, ok := range map[int]bool{1: true, maxKeys - 1: true, maxKeys: true, maxKeys + 1: false, 10_000: false} {
		keys, skipped, err := ParseSet([]byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},`, n), ",") + `]}`))
		if (err == nil) != ok || ok && len(keys)+len(skipped) != n || !ok && keys != nil {
			t.Errorf("a set of %d keys: %d read, %d skipped, %v; want success %t", n, len(keys), len(skipped), err, ok)
		}
	}
}
