// Package sops resolves references to values in files that SOPS encrypted for age
// (https://getsops.io, https://age-encryption.org), for config.WithResolver. The
// files may be in the repository; the program has the key.
//
//	key, err := age.ParseX25519Identity(secret) // or age.ParseIdentities of a mounted file
//	files, err := sops.New("/etc/shop", key)
//	cfg, err := config.New(config.WithResolver("sops", files), …)
//
// A configuration refers to a file below the folder and to a value in it:
//
//	password: ${sops:db.yaml#postgres.password}
//	dsn: postgres://app:${sops:db.yaml#postgres.password}@db/shop
//	certificate: ${sops:tls.pem}
//
// The path after "#" is one as in package config: keys with dots between them, a
// backslash before a dot that belongs to a key, and numbers for the entries of a
// list. Strings, numbers and booleans can be referred to, as text. The name of a
// file says its format as it does for sops: .yaml, .yml, .json, .env, .ini, and
// anything else is binary, which has no path. Of a YAML file with several
// documents the first one is read.
//
// # Semantics
//
// A file is read at each Resolve and decrypted when its content is another one,
// so a file that is replaced is seen as soon as config asks again, within 10 s
// (config.ResolveEvery). A file for which no identity fits is tried again after
// 5 s: the identity may be one of a plugin or a device that was not there. What
// was decrypted is remembered, of at most 256 files and 32 MiB. A value that
// was changed without the key is refused: SOPS' MAC covers all values, but no
// comments, no names of values that are not encrypted, no empty values, and
// with mac_only_encrypted only the encrypted values. The MAC does not say who
// wrote a file: age's recipients are public, so whoever may replace a file may
// encrypt another one for the same key. Keys of other kinds than age are not
// used, no server is asked for keys, and no environment variable is read for
// them. Where a file has several groups of keys (Shamir), the identities must
// be of as many as it wants.
//
// Nothing outside of the folder is read, also not by symbolic links. Files have at
// most 4 MiB. YAML with aliases is refused: SOPS writes none.
//
// What SOPS itself does in a program that links it: it writes warnings to standard
// error, and at the start it reads /etc/sops/audit.yaml. The PostgreSQL databases
// that this file names are sent each decryption, and the program ends when one of
// them can't be reached.
//
// This is a module of its own, since SOPS links the clients of all clouds.
//
// # Errors
//
// New returns config.ErrInvalid for what can't be. Resolve returns
// config.ErrNotFound for a file or a value that is not there, config.ErrDenied when
// no identity fits or the file may not be read, and config.ErrInvalid for a
// reference that can't be, a value that is a list or an object, and a file that is
// not SOPS' or was changed without the key. No error has a value in it.
//
// # Closing
//
// There is nothing to close.
package sops
