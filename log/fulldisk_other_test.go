//go:build !unix

package log_test

func fullDisk() { panic("no limit of files here") }
