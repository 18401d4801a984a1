//! The language of a text: by its script, and within a script by its most frequent small words and by letters that few
//! languages have. Statistics of letters need more text than people write in a message; small words are in almost every one.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// Small words of languages in Latin script, each list about the most frequent ones, in the form of `normalise`.
const WORDS: [(&str, &str); 18] = [
    (
        "en",
        "the and is it to of in my i you a for on that this with have not what where how can do are was me please when your we they will be from there which would want need does did has don't i'm it's thank thanks hello hi",
    ),
    (
        "de",
        "der die das und ist ich nicht ein eine zu mein meine wo wie was mit auf für von den dem es sie wir kann bitte im habe hat noch auch wann warum wird sind mir mich ihr danke hallo kein keine oder aber",
    ),
    (
        "fr",
        "le la les et est je ne pas un une de mon ma mes où comment que qui avec pour sur du des il elle nous vous dans au ce cette quand pourquoi merci bonjour j'ai c'est suis plus être avoir votre s'il",
    ),
    (
        "es",
        "el la los las y es yo no un una de mi mis dónde donde cómo qué que con para por en del se está quiero puedo tengo cuándo cuando gracias hola su lo me por favor como pero muy",
    ),
    (
        "pt",
        "o a os as e é eu não um uma de meu minha onde como que com para por em do da no na está quero posso tenho quando obrigado obrigada olá seu isso você mas muito já foi",
    ),
    (
        "it",
        "il lo la gli le e è io non un una di mio mia dove come che con per su del della sono ho posso voglio quando grazie ciao questo questa mi si nel perché anche ma più",
    ),
    (
        "nl",
        "de het een en is ik niet mijn waar hoe wat met op voor van te in zijn kan heb wil wanneer waarom bedankt hallo dit dat er je jullie naar maar ook nog geen aan",
    ),
    (
        "sv",
        "och är jag inte en ett min mitt mina var hur vad med på för av till i det den kan har vill när varför tack hej om som att men så från ni",
    ),
    (
        "da",
        "og er jeg ikke en et min mit mine hvor hvordan hvad med på for af til i det den kan har vil hvornår hvorfor tak hej om som at men så fra jer",
    ),
    (
        "nb",
        "og er jeg ikke en et min mitt mine hvor hvordan hva med på for av til i det den kan har vil når hvorfor takk hei om som å men så fra dere",
    ),
    (
        "fi",
        "ja on minä en ei se tämä minun missä miten mitä kanssa kun voin haluan olen ole oli että kiitos hei mutta myös jos tai niin milloin miksi teidän",
    ),
    (
        "pl",
        "i jest nie to w na z do moja mój moje gdzie jak co się że czy mam mogę chcę kiedy dlaczego dziękuję cześć proszę dla od po ale jestem",
    ),
    (
        "cs",
        "a je ne to v na s do můj moje kde jak co se že mám mohu chci kdy proč děkuji ahoj prosím pro od po ale jsem není ještě",
    ),
    (
        "hu",
        "a az és nem egy hol hogyan mi van hogy én ez azt kell lehet szeretnék mikor miért köszönöm szia kérem de meg is már még csak",
    ),
    (
        "ro",
        "și este nu un o de la mea meu unde cum ce cu pentru pe în am pot vreau când mulțumesc salut vă rog dar sunt care din mai",
    ),
    (
        "tr",
        "ve bir bu için ne nerede nasıl benim ben de da mi mı var yok ile ama çok istiyorum ne zaman neden teşekkürler merhaba lütfen daha değil olarak",
    ),
    (
        "vi",
        "là và tôi không có của cho một được này ở đâu như thế nào gì với khi nào tại sao cảm ơn xin chào bạn các những đã muốn thể",
    ),
    (
        "id",
        "dan yang di saya tidak ini itu ada untuk dengan ke dari mana bagaimana apa bisa mau kapan mengapa terima kasih halo tolong akan sudah belum anda kami",
    ),
];

/// Letters that few of these languages have, and whose they are.
const LETTERS: [(char, &[&str]); 33] = [
    ('ß', &["de"]),
    ('ä', &["de", "sv", "fi"]),
    ('ö', &["de", "sv", "fi", "hu", "tr"]),
    ('ü', &["de", "tr", "hu"]),
    ('ñ', &["es"]),
    ('¿', &["es"]),
    ('¡', &["es"]),
    ('ã', &["pt", "vi"]),
    ('õ', &["pt", "vi"]),
    ('ç', &["fr", "pt", "tr"]),
    ('œ', &["fr"]),
    ('ù', &["fr", "it"]),
    ('ê', &["fr", "pt", "vi"]),
    ('å', &["sv", "da", "nb"]),
    ('æ', &["da", "nb"]),
    ('ø', &["da", "nb"]),
    ('ł', &["pl"]),
    ('ą', &["pl"]),
    ('ę', &["pl"]),
    ('ś', &["pl"]),
    ('ż', &["pl"]),
    ('ř', &["cs"]),
    ('ě', &["cs"]),
    ('ů', &["cs"]),
    ('ő', &["hu"]),
    ('ű', &["hu"]),
    ('ș', &["ro"]),
    ('ț', &["ro"]),
    ('ă', &["ro", "vi"]),
    ('ğ', &["tr"]),
    ('ı', &["tr"]),
    ('đ', &["vi"]),
    ('ơ', &["vi"]),
];
/// What a letter counts beside a word that only one language has.
const LETTER_WEIGHT: f32 = 0.5;
/// The least lead of the first language before the second, as a share of what the first has.
const LEAD: f32 = 0.1;

type Scores = [f32; WORDS.len()];

/// For each word the languages that have it, with a weight that is the smaller the more they are.
static SCORES: LazyLock<FxHashMap<&'static str, Vec<(usize, f32)>>> = LazyLock::new(|| {
    let mut owners: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (language, (_, words)) in WORDS.iter().enumerate() {
        for word in words.split(' ') {
            let of_word = owners.entry(word).or_default();
            if !of_word.contains(&language) {
                of_word.push(language);
            }
        }
    }
    let weighted = |languages: Vec<usize>| {
        let weight = 1.0 / languages.len() as f32;
        languages.into_iter().map(|language| (language, weight)).collect()
    };
    owners
        .into_iter()
        .map(|(word, languages)| (word, weighted(languages)))
        .collect()
});

/// Bytes of a text that are looked at: a hundred words tell as much as a thousand.
const LOOKED_AT: usize = 600;

/// The language of a text as ISO 639-1, such as `en`; none where nothing tells. The beginning of a long text speaks for it.
pub fn language(text: &str) -> Option<&'static str> {
    let text = &text[..text.floor_char_boundary(LOOKED_AT)];
    let mut counts = ScriptCounts::default();
    for character in text.chars().filter(|character| character.is_alphabetic()) {
        counts.count(character);
    }
    let latin = counts.latin;
    if let Some((language, count)) = counts.other()
        && count >= latin
    {
        return Some(language);
    }
    if latin == 0 { None } else { latin_language(text) }
}

fn latin_language(text: &str) -> Option<&'static str> {
    let mut scores: Scores = [0.0; WORDS.len()];
    let lower = text.to_lowercase();
    let is_word = |character: char| character.is_alphabetic() || character == '\'' || character == '’';
    for word in lower
        .split(|character: char| !is_word(character))
        .filter(|word| !word.is_empty())
    {
        let known = if word.contains('’') {
            SCORES.get(word.replace('’', "'").as_str())
        } else {
            SCORES.get(word)
        };
        for &(language, weight) in known.into_iter().flatten() {
            scores[language] += weight;
        }
    }
    for character in lower.chars().filter(|character| !character.is_ascii()) {
        let owners = LETTERS.iter().find(|(letter, _)| *letter == character);
        for owner in owners.into_iter().flat_map(|(_, owners)| owners.iter()) {
            if let Some(place) = WORDS.iter().position(|(language, _)| language == owner) {
                scores[place] += LETTER_WEIGHT;
            }
        }
    }
    let mut order: Vec<usize> = (0..WORDS.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let (first, second) = (scores[order[0]], scores[order[1]]);
    (first > 0.0 && first - second > LEAD * first).then(|| WORDS[order[0]].0)
}

/// Letters by script, and those that tell languages of one script apart.
#[derive(Debug, Default)]
struct ScriptCounts {
    latin: usize,
    han: usize,
    kana: usize,
    hangul: usize,
    arabic: usize,
    persian: usize,
    urdu: usize,
    cyrillic: usize,
    ukrainian: usize,
    russian: usize,
    serbian: usize,
    /// Scripts of one language, in the order of `ONE_LANGUAGE`.
    one_language: [usize; ONE_LANGUAGE.len()],
}

/// Scripts that mostly one language uses: first and last letter.
const ONE_LANGUAGE: [(&str, char, char); 12] = [
    ("el", '\u{370}', '\u{3ff}'),
    ("hy", '\u{530}', '\u{58f}'),
    ("he", '\u{590}', '\u{5ff}'),
    ("hi", '\u{900}', '\u{97f}'),
    ("bn", '\u{980}', '\u{9ff}'),
    ("pa", '\u{a00}', '\u{a7f}'),
    ("gu", '\u{a80}', '\u{aff}'),
    ("ta", '\u{b80}', '\u{bff}'),
    ("te", '\u{c00}', '\u{c7f}'),
    ("th", '\u{e00}', '\u{e7f}'),
    ("ka", '\u{10a0}', '\u{10ff}'),
    ("km", '\u{1780}', '\u{17ff}'),
];

impl ScriptCounts {
    fn count(&mut self, character: char) {
        match character {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => self.latin += 1,
            '\u{400}'..='\u{52f}' => {
                self.cyrillic += 1;
                self.ukrainian += usize::from("іїєґІЇЄҐ".contains(character));
                self.russian += usize::from("ыэёЫЭЁ".contains(character));
                self.serbian += usize::from("ђћџљњјЂЋЏЉЊЈ".contains(character));
            }
            '\u{600}'..='\u{6ff}'
            | '\u{750}'..='\u{77f}'
            | '\u{fb50}'..='\u{fdff}'
            | '\u{fe70}'..='\u{fefc}' => {
                self.arabic += 1;
                self.persian += usize::from("پچژگی".contains(character));
                self.urdu += usize::from("ٹڈڑںےھ".contains(character));
            }
            '\u{3040}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => self.kana += 1,
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}' => self.hangul += 1,
            '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3134f}' => self.han += 1,
            _ => {
                let script = ONE_LANGUAGE
                    .iter()
                    .position(|(_, first, last)| (*first..=*last).contains(&character));
                if let Some(script) = script {
                    self.one_language[script] += 1;
                }
            }
        }
    }

    /// The language of the most frequent script but Latin, with the letters of the script.
    fn other(&self) -> Option<(&'static str, usize)> {
        let east_asian = match (self.kana, self.han) {
            (0, han) => ("zh", han),
            (kana, han) => ("ja", kana + han),
        };
        let arabic = match (self.urdu, self.persian) {
            (0, 0) => "ar",
            (0, _) => "fa",
            _ => "ur",
        };
        let cyrillic = match (self.ukrainian, self.serbian) {
            _ if self.russian > self.ukrainian + self.serbian => "ru",
            (0, 0) => "ru",
            (ukrainian, serbian) if ukrainian >= serbian => "uk",
            _ => "sr",
        };
        let of_one = ONE_LANGUAGE
            .iter()
            .zip(self.one_language)
            .map(|((language, ..), count)| (*language, count));
        [
            east_asian,
            ("ko", self.hangul),
            (arabic, self.arabic),
            (cyrillic, self.cyrillic),
        ]
        .into_iter()
        .chain(of_one)
        .max_by_key(|(_, count)| *count)
        .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_are_known_in_many_languages() {
        for (expected, texts) in [
            (
                "en",
                [
                    "where is my parcel",
                    "I want my money back",
                    "please reset my password now",
                ],
            ),
            (
                "de",
                [
                    "wo ist mein Paket",
                    "kann ich das zurückgeben?",
                    "Ich möchte mein Geld zurück",
                ],
            ),
            (
                "fr",
                [
                    "où est mon colis",
                    "je veux être remboursé",
                    "merci beaucoup pour votre aide",
                ],
            ),
            (
                "es",
                [
                    "¿dónde está mi paquete?",
                    "quiero mi dinero",
                    "no puedo entrar en mi cuenta",
                ],
            ),
            (
                "pt",
                [
                    "onde está minha encomenda",
                    "não consigo entrar",
                    "quero meu dinheiro de volta",
                ],
            ),
            (
                "it",
                [
                    "dove è il mio pacco",
                    "voglio il rimborso per favore",
                    "non riesco a entrare nel mio conto",
                ],
            ),
            (
                "nl",
                [
                    "waar is mijn pakket",
                    "ik wil mijn geld terug",
                    "kan ik het wachtwoord wijzigen",
                ],
            ),
            (
                "sv",
                [
                    "var är mitt paket",
                    "jag vill ha pengarna tillbaka",
                    "hur byter jag lösenord",
                ],
            ),
            (
                "pl",
                [
                    "gdzie jest moja paczka",
                    "chcę zwrot pieniędzy",
                    "nie mogę się zalogować",
                ],
            ),
            (
                "tr",
                [
                    "kargom nerede",
                    "paramı geri istiyorum",
                    "şifremi nasıl değiştiririm",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(language(text), Some(expected), "{text}");
            }
        }
    }

    #[test]
    fn other_scripts_tell_their_languages() {
        for (expected, texts) in [
            ("zh", ["我的包裹在哪里", "请退款", "重置密码"]),
            (
                "ja",
                ["荷物はどこですか", "返金してください", "パスワードを変更したい"],
            ),
            (
                "ko",
                ["내 소포는 어디에 있나요", "환불해 주세요", "비밀번호 변경"],
            ),
            ("ar", ["أين طردي", "أريد استرداد المال", "كيف أغير كلمة السر"]),
            ("ru", ["где моя посылка", "верните деньги", "как сменить пароль"]),
            (
                "uk",
                [
                    "де моя посилка, її немає",
                    "поверніть гроші",
                    "як змінити пароль і вхід",
                ],
            ),
            ("hi", ["मेरा पार्सल कहाँ है", "पैसे वापस चाहिए", "पासवर्ड बदलना है"]),
            ("el", ["πού είναι το δέμα μου", "θέλω επιστροφή", "κωδικός"]),
        ] {
            for text in texts {
                assert_eq!(language(text), Some(expected), "{text}");
            }
        }
    }

    #[test]
    fn what_tells_nothing_has_no_language() {
        for text in ["", "12345", "😀😀", "ABC-42 XQZ", "ok"] {
            assert_eq!(language(text), None, "{text}");
        }
        assert_eq!(
            language("OpenAI API で返金してください、お願いします"),
            Some("ja")
        );
    }
}
