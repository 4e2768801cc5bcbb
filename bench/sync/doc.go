// Package sync compares the locks of go-platform with redsync, redislock and
// etcd's own mutex, on the same servers in the same run.
package sync
