package config

import (
	"slices"
	"strings"
	"unicode"
)

// A key is secret if it looks like one: a false alarm hides a value that the
// file still shows, a miss shows a password to everybody who may read the page.
// What follows is matched against the words of the key ("dbPassword2" is "db
// password") and, where words are run together, against all of it.

// secretWords make a key and all below it secret, wherever they stand in it.
var secretWords = []string{
	"password", "passwords", "passwd", "passwds", "pass", "passphrase", "passphrases", "passcode", "pwd", "pw", "psk",
	"secret", "secrets", "token", "tokens", "credential", "credentials", "cred", "creds", "otp", "totp", "salt", "pepper",
	"apikey", "apikeys", "authtoken", "privatekey", "accesskey", "secretkey", "signingkey", "encryptionkey", "masterkey",
}

// secretParts do so also in the middle of a word: "dbpassword", "mysecretvalue".
var secretParts = []string{
	"password", "passwd", "passphrase", "passcode", "secret", "credential", "apikey", "privatekey", "accesskey", "signingkey",
	"encryptionkey", "masterkey", "sharedkey", "authkey", "authtoken", "accesstoken", "refreshtoken", "bearertoken",
}

// secretEnds do so at the end: "sessiontoken", "userpwd".
var secretEnds = []string{"token", "tokens", "pwd"}

// secretTexts make a string secret, but not an object: "auth" may hold settings.
var secretTexts = []string{"auth", "authorization", "authentication", "bearer", "jwt", "cookie", "cookies", "session", "key", "keys", "pem", "signature", "sig", "hmac", "seed", "mnemonic", "license", "webhook"}

// connectionWords name connection strings: what can't be read as one, password
// aside, is not shown at all.
var connectionWords = []string{"dsn", "dsns", "connection", "conn", "connstr", "connectionstring"}

// openKeys come before "key" where it is no secret.
var openKeys = []string{
	"public", "primary", "foreign", "partition", "sort", "hash", "range", "routing", "cache", "row", "shard", "group", "index",
	"object", "map", "message", "idempotency", "dedup", "translation", "record", "lookup", "order",
}

// aboutSecrets end a key that tells something of a secret, not the secret.
var aboutSecrets = []string{
	"file", "path", "dir", "name", "id", "ids", "url", "uri", "endpoint", "ttl", "expiry", "expires", "expiration", "lifetime", "age",
	"leeway", "timeout", "interval", "period", "rotation", "length", "size", "count", "limit", "min", "max", "type", "kind",
	"algorithm", "alg", "format", "enabled", "required", "policy", "header", "prefix", "issuer", "audience", "scope", "provider",
	"field", "param", "env", "ref", "version", "bucket", "second", "minute", "hour", "day", "source", "location",
}

// keyWords cuts a key into words in lower case, without the digits at the end
// of each.
func keyWords(key string) []string {
	var words []string
	var word []rune
	end := func() {
		if w := strings.TrimRight(strings.ToLower(string(word)), "0123456789"); w != "" {
			words = append(words, w)
		}
		word = word[:0]
	}
	rs := []rune(key)
	for i, r := range rs {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			continue
		}
		upper := unicode.IsUpper(r)
		if upper && i > 0 && (!unicode.IsUpper(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1])) {
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

// secretName reports whether all below a key of that name is secret.
func secretName(key string) bool {
	words := keyWords(key)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	if n := len(words); n > 1 && slices.Contains(aboutSecrets, last) {
		return last == "id" && words[n-2] == "secret" // Vault's is a password
	}
	if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretWords, w) }) {
		return true
	}
	all := strings.Join(words, "")
	if slices.ContainsFunc(aboutSecrets, func(end string) bool { return len(end) > 3 && strings.HasSuffix(all, end) }) {
		return false
	}
	return slices.ContainsFunc(secretParts, func(p string) bool { return strings.Contains(all, p) }) ||
		slices.ContainsFunc(secretEnds, func(p string) bool { return strings.HasSuffix(all, p) }) ||
		len(words) > 1 && isKey(words)
}

// isKey reports whether the words name a key that one keeps to oneself:
// "signing key", but not "partition key".
func isKey(words []string) bool {
	last := words[len(words)-1]
	return (last == "key" || last == "keys") && (len(words) == 1 || !slices.Contains(openKeys, words[len(words)-2]))
}

// secretText reports whether a string at a key of that name is secret.
func secretText(key string) bool {
	words := keyWords(key)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return slices.Contains(secretTexts, last) && (last != "key" && last != "keys" || isKey(words))
}

// connectionName reports whether a string at a key of that name is a
// connection string.
func connectionName(key string) bool {
	words := keyWords(key)
	if n := len(words); n > 1 && words[n-1] == "string" {
		words = words[:n-1]
	}
	return len(words) > 0 && slices.Contains(connectionWords, words[len(words)-1])
}

// amount reports whether a key counts secrets: "max_tokens".
func amount(key string) bool {
	words := keyWords(key)
	return len(words) > 1 && slices.Contains([]string{"max", "min", "num", "total", "count"}, words[0])
}
