// Another library in the process, with memory of C++: what one malloc gave must not reach another's
// free.
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int cxx_library(void);

extern "C" int cxx_library(void)
{
    std::vector<std::string> texts(10, std::string(100, 'x'));
    std::string *all = new std::string;
    for (const std::string &text : texts) *all += text;
    const int length = static_cast<int>(all->size());
    delete all;
    try {
        throw std::runtime_error(texts[0]);
    } catch (const std::exception &) {
        return length;
    }
}
