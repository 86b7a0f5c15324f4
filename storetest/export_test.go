package storetest

import "time"

// SetNoticeTimeout sets how long a rule waits for a notification.
func SetNoticeTimeout(d time.Duration) { noticeTimeout = d }
