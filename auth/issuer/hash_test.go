package issuer

import (
	"strings"
	"testing"
)

// Every hash has a salt of its own, and no other text is one.
func TestHashesOfSecrets(t *testing.T) {
	one, two := newSlowHash("secret", 2), newSlowHash("secret", 2)
	if one == two {
		t.Error("two hashes of one secret are the same")
	}
	salt := []byte("0123456789abcdef")
	if a, b := strings.Split(newDecoy(2), "$"), strings.Split(newDecoy(2), "$"); a[2] == b[2] || a[3] == b[3] || a[1] != "2" {
		t.Errorf("decoys %q and %q, want a salt and a key of their own", a, b)
	}
	parts := strings.Split(one, "$")
	for name, c := range map[string]struct {
		hash, secret string
		ok           bool
	}{
		"the secret":                    {one, "secret", true},
		"another":                       {one, "secrets", false},
		"none":                          {one, "", false},
		"another's salt":                {strings.Join([]string{parts[0], parts[1], strings.Split(two, "$")[2], parts[3]}, "$"), "secret", false},
		"other rounds":                  {strings.Join([]string{parts[0], "3", parts[2], parts[3]}, "$"), "secret", false},
		"no rounds":                     {strings.Join([]string{parts[0], "0", parts[2], parts[3]}, "$"), "secret", false},
		"no rounds, and the key of one": {encodeHash(0, salt, derive("secret", salt, 1)), "secret", false},
		"one round":                     {encodeHash(1, salt, derive("secret", salt, 1)), "secret", true},
		"half a key":                    {encodeHash(2, salt, derive("secret", salt, 2)[:16]), "secret", false},
		"a key more":                    {encodeHash(2, salt, append(derive("secret", salt, 2), 0)), "secret", false},
		"nothing of all":                {slowHash + "0$$", "secret", false},
		"a bad end of the salt":         {strings.Join([]string{parts[0], parts[1], parts[2] + "!", parts[3]}, "$"), "secret", false},
		"a bad end of the key":          {one + "!", "secret", false},
		"no number":                     {strings.Join([]string{parts[0], "x", parts[2], parts[3]}, "$"), "secret", false},
		"a bad salt":                    {strings.Join([]string{parts[0], parts[1], "!", parts[3]}, "$"), "secret", false},
		"a bad key":                     {strings.Join([]string{parts[0], parts[1], parts[2], "!"}, "$"), "secret", false},
		"no key":                        {strings.Join([]string{parts[0], parts[1], parts[2], ""}, "$"), "secret", false},
		"another kind":                  {"pbkdf2-sha1$" + strings.Join(parts[1:], "$"), "secret", false},
		"a part more":                   {one + "$", "secret", false},
		"nothing":                       {"", "", false},
		"a decoy":                       {newDecoy(2), "", false},
	} {
		if got := equalSlow(c.hash, c.secret); got != c.ok {
			t.Errorf("%s: %t, want %t", name, got, c.ok)
		}
	}
	fast := fastHash + digest("secret")
	if !equalFast(fast, "secret") || equalFast(fast, "secrets") || equalFast(digest("secret"), "secret") || equalFast("", "") {
		t.Error("fast hashes")
	}
}
