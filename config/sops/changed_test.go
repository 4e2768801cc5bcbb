package sops

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/config"
)

// One changed character in any part of a file that its key protects is noticed, whatever
// value is asked for; what nothing protects is not relied on.
func TestOneChangedCharacterIsRefused(t *testing.T) {
	const (
		value   = "password: ENC[AES256_GCM,data:"
		comment = "postgres:\n    #ENC[AES256_GCM,data:"
		mac     = "mac: ENC[AES256_GCM,data:"
		key     = "-----BEGIN AGE ENCRYPTED FILE-----\n            "
	)
	for name, c := range map[string]struct {
		after    string // what stands before the character
		old, new string // or a text and what it is changed to
		want     error
	}{
		"nothing": {old: "sops:", new: "sops:"},

		"a value":                 {after: value, want: config.ErrInvalid},
		"its nonce":               {after: value + "rxli51aMPQ==,iv:", want: config.ErrInvalid},
		"its tag":                 {after: value + "rxli51aMPQ==,iv:qJG9Zj2iJknfTgUwrg8m/Rs/Poed3OAVRliSB2ibO8k=,tag:", want: config.ErrInvalid},
		"its type":                {old: "J66g0nBJNUjp7dNYNuvMyQ==,type:str", new: "J66g0nBJNUjp7dNYNuvMyQ==,type:int", want: config.ErrInvalid},
		"its name":                {old: "password:", new: "passwore:", want: config.ErrInvalid},
		"another value":           {after: "port: ENC[AES256_GCM,data:", want: config.ErrInvalid},
		"a value that is plain":   {old: "plain_unencrypted: seen", new: "plain_unencrypted: seem", want: config.ErrInvalid},
		"a value that is empty":   {old: `empty: ""`, new: `empty: "x"`, want: config.ErrInvalid},
		"a plain value less":      {old: "plain_unencrypted: seen\n", want: config.ErrInvalid},
		"a plain value more":      {old: "plain_unencrypted: seen\n", new: "plain_unencrypted: seen\nb_unencrypted: x\n", want: config.ErrInvalid},
		"the MAC":                 {after: mac, want: config.ErrInvalid},
		"its own nonce":           {after: "XN9QeJDEvRCMlU=,iv:", want: config.ErrInvalid},
		"its own tag":             {after: "72vS4dm35LK+4DJH8aPNViQGLwZNZcmQ55713Uz3CUk=,tag:", want: config.ErrInvalid},
		"no MAC":                  {old: "    mac: ENC[", new: "    mab: ENC[", want: config.ErrInvalid},
		"the time":                {old: "19:31:46Z", new: "19:31:47Z", want: config.ErrInvalid},
		"the key":                 {after: key + "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSAxUzBzQnRkdVkr", want: config.ErrDenied},
		"the end of the key":      {old: "xmegTyySRvhQ==", new: "xmegTyySRvhA==", want: config.ErrDenied},
		"its first line":          {after: key, want: config.ErrDenied},
		"what is not encrypted":   {old: "unencrypted_suffix: _unencrypted", new: "unencrypted_suffix: _unencrypte", want: config.ErrInvalid},
		"how many groups of keys": {old: "shamir_threshold: 1", new: "shamir_threshold: 2"},

		// SOPS' MAC is of the bytes of all values, one behind the other.
		"a value less, an empty one": {old: `    empty: ""` + "\n"},
		"a comment":                  {after: comment},
		"who has the key":            {old: "recipient: age12gxd", new: "recipient: age12gxe"},
		"the version":                {old: "version: 3.13.3", new: "version: 3.13.4"},
		"no version at all":          {old: "    version: 3.13.3", new: ""},
	} {
		dir := folder(t)
		file := filepath.Join(dir, "db.yaml")
		if c.after != "" {
			change(t, file, file, c.after)
		} else {
			swap(t, file, file, c.old, c.new)
		}
		r, err := New(dir, identity(t))
		if err != nil {
			t.Fatal(err)
		}
		for ref, value := range map[string]string{"db.yaml#postgres.password": "hunter2", "db.yaml#plain_unencrypted": "seen"} {
			if c.want != nil {
				value = ""
			}
			got, err := r.Resolve(t.Context(), ref)
			if got != value || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: %s gives %q, %v, want %q, %v", name, ref, got, err, value, c.want)
			}
		}
	}
}

// The names of plain values are not in the MAC: one that is renamed is not found.
func TestARenamedPlainValueIsNotFound(t *testing.T) {
	dir := folder(t)
	file := filepath.Join(dir, "db.yaml")
	swap(t, file, file, "plain_unencrypted: seen", "plane_unencrypted: seen")
	r, err := New(dir, identity(t))
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]error{"plain_unencrypted": config.ErrNotFound, "plane_unencrypted": nil, "postgres.password": nil} {
		if got, err := r.Resolve(t.Context(), "db.yaml#"+ref); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %q, %v, want %v", ref, got, err, want)
		}
	}
}
