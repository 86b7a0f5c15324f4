package main

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// A listLanguage has the texts of the list of tokens in a language.
type listLanguage struct {
	texts  map[string]string
	plural func(n int) string
}

var listLanguages = map[string]listLanguage{
	"de": {texts: map[string]string{
		"title": "Entwicklereinstellungen", "tokens.heading": "Zugriffstokens", "secret.heading": "Client-Secret", "sessions.heading": "Sitzungen",
		"tokens.text": "Mit Zugriffstokens nutzen Skripte und Integrationen Ihr Konto ohne Ihr Passwort. Jedes Token hat nur die Rechte, die Sie ihm geben, bis es abläuft oder Sie es widerrufen.",
		"tokens.new":  "Token erstellen", "tokens.rotate": "Erneuern", "tokens.revoke": "Widerrufen", "tokens.remove": "Entfernen",
		"tokens.scopes.one": "{n} Berechtigung", "tokens.scopes.other": "{n} Berechtigungen", "tokens.networks.other": "{n} Netzwerke", "scopes.full": "Vollzugriff",
		"state.expiring": "Läuft bald ab", "state.superseded": "Ersetzt", "state.expired": "Abgelaufen",
		"field.expires": "Gültig bis", "field.used": "Zuletzt benutzt", "field.created": "Erstellt",
		"time.never": "Unbegrenzt", "time.unused": "Nie", "time.in.day.other": "in {n} Tagen", "time.in.month.other": "in {n} Monaten", "time.in.hour.other": "in {n} Stunden",
		"time.ago.minute.other": "vor {n} Minuten", "time.ago.day.other": "vor {n} Tagen", "time.ago.hour.other": "vor {n} Stunden",
		"filter.search": "Suche", "filter.search.hint": "Name, Berechtigung oder letzte vier Zeichen", "filter.state": "Zustand", "filter.state.all": "Alle",
		"filter.sort": "Reihenfolge", "filter.sort.newest": "Neueste zuerst", "filter.sort.expires": "Läuft am frühesten ab", "filter.button": "Anwenden",
		"tokens.range": "{from} bis {to} von {total}", "number.thousands": "{high}.{low}",
		"revoke.tokens.button": "Alle Tokens widerrufen", "tokens.danger.text": "Wenn Sie nicht wissen, welches bekannt geworden ist.", "tokens.revoke_all": "Alle widerrufen",
	}},
	"ja": {texts: map[string]string{
		"title": "開発者設定", "tokens.heading": "アクセストークン", "secret.heading": "クライアントシークレット", "sessions.heading": "セッション",
		"tokens.text": "アクセストークンを使うと、スクリプトや連携サービスがパスワードなしでアカウントを利用できます。", "tokens.new": "トークンを作成",
		"tokens.rotate": "ローテーション", "tokens.revoke": "取り消す", "tokens.remove": "削除", "tokens.scopes.other": "{n} 件のスコープ", "tokens.networks.other": "{n} 件のネットワーク",
		"scopes.full": "フルアクセス", "state.expiring": "まもなく期限切れ", "state.superseded": "置換済み", "state.expired": "期限切れ",
		"field.name": "名前", "field.expires": "有効期限", "field.used": "最終使用", "field.created": "作成日", "time.never": "無期限", "time.unused": "未使用",
		"time.in.day.other": "{n} 日後", "time.in.month.other": "{n} か月後", "time.in.hour.other": "{n} 時間後",
		"time.ago.minute.other": "{n} 分前", "time.ago.day.other": "{n} 日前", "time.ago.hour.other": "{n} 時間前",
		"filter.search": "検索", "filter.search.hint": "名前、スコープ、末尾の 4 文字", "filter.state": "状態", "filter.state.all": "すべて",
		"filter.sort": "並べ替え", "filter.sort.newest": "新しい順", "filter.button": "適用", "tokens.range": "{total} 件中 {from}〜{to}",
		"revoke.tokens.button": "すべてのトークンを取り消す", "tokens.danger.text": "どのトークンが漏えいしたか分からない場合に使います。", "tokens.revoke_all": "すべて取り消す",
	}},
	"ar": {texts: map[string]string{
		"title": "إعدادات المطوّر", "tokens.heading": "رموز الوصول", "secret.heading": "سرّ العميل", "sessions.heading": "الجلسات",
		"tokens.text": "تتيح رموز الوصول للبرامج استخدام حسابك دون كلمة المرور.", "tokens.new": "إنشاء رمز",
		"tokens.rotate": "تدوير", "tokens.revoke": "إلغاء", "tokens.remove": "إزالة", "scopes.full": "وصول كامل",
		"tokens.scopes.one": "نطاق واحد", "tokens.scopes.two": "نطاقان", "tokens.scopes.few": "{n} نطاقات", "tokens.scopes.many": "{n} نطاقًا", "tokens.scopes.other": "{n} نطاق",
		"tokens.networks.two": "شبكتان", "tokens.networks.other": "{n} شبكة", "tokens.access": "{scopes}، {networks}",
		"state.expiring": "تنتهي قريبًا", "state.superseded": "مستبدل", "state.expired": "منتهٍ",
		"field.name": "الاسم", "field.expires": "تاريخ الانتهاء", "field.used": "آخر استخدام", "field.created": "تاريخ الإنشاء", "time.never": "أبدًا", "time.unused": "لم يُستخدم",
		"time.in.day.many": "خلال {n} يومًا", "time.in.day.other": "خلال {n} يوم", "time.in.month.few": "خلال {n} أشهر", "time.in.month.other": "خلال {n} شهر",
		"time.in.hour.few": "خلال {n} ساعات", "time.in.hour.many": "خلال {n} ساعة", "time.in.hour.other": "خلال {n} ساعة",
		"time.ago.minute.few": "قبل {n} دقائق", "time.ago.minute.other": "قبل {n} دقيقة", "time.ago.day.two": "قبل يومين", "time.ago.day.other": "قبل {n} يومًا",
		"time.ago.hour.many": "قبل {n} ساعة", "time.ago.hour.other": "قبل {n} ساعة",
		"filter.search": "بحث", "filter.search.hint": "الاسم أو النطاق", "filter.state": "الحالة", "filter.state.all": "الكل", "filter.sort": "الترتيب",
		"filter.sort.newest": "الأحدث أولًا", "filter.button": "تطبيق", "tokens.range": "{from} إلى {to} من {total}",
		"revoke.tokens.button": "إلغاء كل الرموز", "tokens.danger.text": "إذا كنت لا تعرف أيها تسرّب.", "tokens.revoke_all": "إلغاء الكل",
	}, plural: arabicPlural},
}

// arabicPlural has the rules of the Unicode CLDR.
func arabicPlural(n int) string {
	switch {
	case n <= 2:
		return []string{"zero", "one", "two"}[n]
	case n%100 >= 3 && n%100 <= 10:
		return "few"
	case n%100 >= 11:
		return "many"
	}
	return "other"
}

// Rows are as high, and names as wide, in languages with longer words and in the other direction.
func TestBrowserSettings_languages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 14, 13)
	for name, language := range listLanguages {
		cfg := b.settingsConfig()
		cfg.Language, cfg.Texts, cfg.Plural = name, language.texts, language.plural
		b.replaceSettings(t, cfg)
		b.look(t, "light", 1280)
		b.open(t, developer)
		b.requireRows(t, "tokens-"+name, 14)
		require.Equal(t, language.texts["tokens.heading"], b.text(t, "h1"))
		overflowing := act(t, b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".tokens td")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)`))
		require.Empty(t, overflowing, name)
		b.requireFits(t, "tokens-"+name)
	}
}
